"""The audit: what a classifier's score is made of."""
