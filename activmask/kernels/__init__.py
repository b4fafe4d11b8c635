"""The tensor operations under training; one folder each, its plain PyTorch form in `reference.py`."""
