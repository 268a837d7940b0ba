"""Augmentations: random changes of a clip that keep its action. A file for each, found by the registry."""
