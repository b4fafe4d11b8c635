"""The networks: the paper's convnets and torchvision's classifiers, all returning a `ModelOutput`."""
