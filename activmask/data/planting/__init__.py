"""Planting: data sets whose images carry a known artefact with a known share per class and split."""
