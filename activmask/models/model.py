"""What a network says of itself, so that the rest of the program need not know its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network

USUAL_WIDTH = 64
"""Channels of the first layer that a network has if neither it nor the user says."""


class Build(Protocol):
    """Makes an untrained network, its weights drawn from torch's global generator."""

    def __call__(self, wanted: Network, *, channels: int, classes: int, image_size: int) -> nn.Module:
        """A module called with images (B, C, H, W) and `reconstruct`, a bool, that returns a `ModelOutput`.

        `Tapped` (`activmask/models/taps.py`) makes one of any classifier that returns logits.

        Args:
            wanted: its name, width and head.
            channels: C of the images.
            classes: number of classes.
            image_size: side of the square images in px.

        Raises:
            UsageError: such images do not fit it.
        """


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything that is true of one network; `MODELS` lists those that have an entry of their own."""

    build: Build
    """Imports what it needs itself, so that listing networks takes no time."""
    source: str
    """Where it is published."""
    label: str = ""
    """What tables call it; empty for its name."""
    folder: str = ""
    """What the folders of its runs call it; empty for its name."""
    foreign: bool = False
    """Whether code that others wrote may do anything in a pass, so that none is recorded and replayed."""
    decoder: bool = False
    """Whether it reconstructs its images; it does so by the preset's weight if nobody says."""
    batch_norm: bool = False
    """Whether it normalises batches, so that several processes have statistics to share."""
    any_width: bool = False
    """Whether the channels of its first layer can be chosen."""
    usual_width: int | None = USUAL_WIDTH
    """How many these are if nobody says; None for as many as the preset says."""
    heads: tuple[str, ...] = ("pooled",)
    """The values of the setting `head` that it can be built with."""
    smallest_side: int = 1
    """Of the images that it takes, in px."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings whose default is another one for this network, chosen by training."""
