"""What a checkpoint is worth: scores with intervals, the shortcut audit, and where it looks."""
