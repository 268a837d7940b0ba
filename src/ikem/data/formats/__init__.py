"""Raw formats: a file for each."""
