"""Methods: a folder each, with `method.py` (a declaration without torch) and `trainer.py` (model, loss, step)."""
