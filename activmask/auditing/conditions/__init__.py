"""The score with parts of the images destroyed, and what a mask alone would score."""
