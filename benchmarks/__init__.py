"""Measurements: each script is one question, its output a file in `results/`."""
