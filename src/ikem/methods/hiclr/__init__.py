"""HiCLR."""
