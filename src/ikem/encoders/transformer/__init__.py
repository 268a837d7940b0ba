"""Transformer over tokens of a joint and a few frames."""
