"""Reference vectors against the code that the benchmark runs."""
