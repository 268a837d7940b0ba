"""From a config to jobs, and their running: plan, provenance, staleness, signals, logs."""
