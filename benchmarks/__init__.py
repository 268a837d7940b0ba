"""Paired timings against plain transcriptions of the method."""
