"""The images that training sees, from a run's description to batches."""
