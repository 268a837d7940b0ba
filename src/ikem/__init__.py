"""IKEM-Bench: a reproducible benchmark of self-supervised skeleton action recognition."""

__version__ = "0.1.0"
