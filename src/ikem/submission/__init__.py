"""Results that others send in: an archive that holds a claim and what it can be recomputed from."""
