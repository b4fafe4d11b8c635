"""The Medical Segmentation Decathlon."""
