"""Whatever predicts: networks and checkpoints of ours, and everybody else's."""
