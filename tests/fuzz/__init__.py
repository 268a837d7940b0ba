"""Malformed inputs, generated afresh: `python -m tests.fuzz --count 2500 --seed 1`."""
