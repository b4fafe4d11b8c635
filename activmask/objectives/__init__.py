"""The objectives: small functions from tensors to a scalar, each citing its source."""
