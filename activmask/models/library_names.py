"""The names `torchvision:NAME` and `timm:NAME` of networks as a library builds them."""

LIBRARIES = ("torchvision", "timm")

IMAGENET = "imagenet"
"""Stands for the weights that a library has of its own."""


def is_of_library(name: str) -> bool:
    """Whether a name says of which library a network is."""
    return ":" in name and name.partition(":")[0] in LIBRARIES


def library_of(name: str) -> tuple[str, str]:
    """The library, and its own name for the network."""
    library, _, network = name.partition(":")
    return library, network
