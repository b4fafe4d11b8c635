"""What a clinician asks of a score: curves, thresholds, calibration, groups."""
