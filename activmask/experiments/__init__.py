"""Grids of experiments: the paper's as data, how they are run, and the folders they leave."""
