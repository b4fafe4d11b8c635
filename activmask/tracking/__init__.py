"""Trackers that others look at: TensorBoard and MLflow, told of a run while it trains."""
