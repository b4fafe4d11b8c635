"""What a method of attribution says of itself, so that the rest of the program need not know its name.

Shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Method:
    """Everything that is true of one method; `METHODS` lists them all."""

    attribute: Callable[..., Tensor]
    """Maps a `Request`, and the options below by name, to signed attributions (B, C, H, W), or (B, 1, H, W)
    where channels have none of their own.

    Imports what it needs itself, so that listing methods takes no time."""
    help: str
    """What it shows, in one line."""
    source: str
    """Where it is published."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `attribute` takes beside the request."""
    feature_map: bool = False
    """Whether it looks at a feature map, of which `layer` names another than the last."""
    between_classes: bool = False
    """Whether it explains a class against all others, so that of two classes either gives the same values,
    but for their sign."""
    positive: bool = False
    """Whether it is defined as a positive part, so that no value speaks against a class."""
    predictions_only: bool = False
    """Whether it asks for class scores alone, of which nothing need be differentiated."""
