"""Networks as a library builds them, by the names `torchvision:NAME` and `timm:NAME`: their entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.models.model import Model

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network

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


def of_library(name: str) -> Model:
    """What is true of a library's network, whether there is one or not."""
    library, network = library_of(name)
    return Model(
        build=_of_library,
        source=library,
        label=network,
        folder=f"{library}.{network}".replace("/", "."),
        batch_norm=True,
    )


def _of_library(wanted: Network, *, channels: int, classes: int, image_size: int) -> nn.Module:  # noqa: ARG001
    from activmask.models.library_networks import built_by_library

    return built_by_library(wanted, channels=channels, classes=classes)
