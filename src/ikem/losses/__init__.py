"""Queue and losses, a file each."""
