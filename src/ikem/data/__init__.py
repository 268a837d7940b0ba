"""Readers, decoding, preparation, splits."""
