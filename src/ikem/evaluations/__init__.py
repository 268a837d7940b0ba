"""Evaluations: a folder each, with `evaluation.py` (a declaration without torch) and the code that it names."""
