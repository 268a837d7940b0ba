"""Malformed inputs, generated again: `python -m tests.fuzz --count 2500 --seed 1`."""
