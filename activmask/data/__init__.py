"""Images with their masks and labels: on disk, in memory, in splits, and as a network sees them."""
