"""Bidirectional GRU."""
