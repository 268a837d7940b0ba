"""Graph, encoder, heads."""
