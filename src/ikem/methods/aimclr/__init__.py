"""AimCLR."""
