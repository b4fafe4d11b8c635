"""Networks as a library builds them: the entry of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.models.library_names import library_of
from activmask.models.model import Model

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network


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
