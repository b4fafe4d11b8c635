"""Epochs captured once as CUDA graphs, and replayed."""
