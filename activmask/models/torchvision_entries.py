"""Torchvision's classifiers: one rule that makes the entry of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.models.depths import BASIC_BLOCKS
from activmask.models.model import Model

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network

_RESNETS = ("resnet", "resnext", "wide_resnet")


def of_torchvision(name: str, label: str = "") -> Model:
    """What is true of the torchvision classifier of a name, whether there is one or not.

    Args:
        name: torchvision's.
        label: what tables call it; empty for its name.
    """
    return Model(
        build=_classifier,
        source="torchvision",
        label=label,
        batch_norm=True,
        any_width=name in BASIC_BLOCKS,
        heads=("pooled", "released") if name.startswith(_RESNETS) else ("pooled",),
    )


def _classifier(wanted: Network, *, channels: int, classes: int, image_size: int) -> nn.Module:
    from activmask.models.taps import Tapped
    from activmask.models.torchvision_models import give_released_head, torchvision_classifier

    network = torchvision_classifier(wanted.model, channels=channels, classes=classes, width=wanted.width)
    if wanted.head == "released":
        give_released_head(network, wanted.model, image_size)
    return Tapped(network)


RESNET18 = of_torchvision("resnet18", label="ResNet")
RESNET34 = of_torchvision("resnet34")
