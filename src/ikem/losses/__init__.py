"""Losses, and the queue of keys that they contrast with. Each loss is a function in plain PyTorch, to be read.

Notation: A modalities, B clips of a batch, D channels of a feature, K keys of a queue, S students.
"""
