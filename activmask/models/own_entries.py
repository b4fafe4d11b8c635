"""Networks that a user's own function makes: the entry of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.models.model import Model
from activmask.models.own_code import code_of

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network


def of_own_code(name: str) -> Model:
    """What is true of the network that a function makes, as far as it is known before its code runs."""
    file, function = code_of(name)
    called = f"{file.stem}:{function}"
    return Model(
        build=_own_network,
        source="the user's own code",
        label=called,
        folder=called.replace(":", "."),
        batch_norm=True,
        foreign=True,
    )


def _own_network(wanted: Network, *, channels: int, classes: int, image_size: int) -> nn.Module:
    from activmask.models.own_networks import own_network

    return own_network(wanted.model, channels=channels, classes=classes, image_size=image_size)
