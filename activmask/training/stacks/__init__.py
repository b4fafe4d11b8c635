"""All seeds of a run trained as one network, one CUDA graph a step."""
