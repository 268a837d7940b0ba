"""ActCLR."""
