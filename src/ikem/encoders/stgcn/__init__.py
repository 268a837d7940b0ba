"""ST-GCN."""
