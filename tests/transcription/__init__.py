"""Slow transcriptions of the mathematics, written from its words alone; nothing is shared with the package."""
