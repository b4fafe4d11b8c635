"""What a report finds, as values and sentences."""
