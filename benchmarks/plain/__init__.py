"""Plain transcriptions of the mathematics, as published code does it: what the benchmark is timed against."""
