"""What every model of this package returns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Never

from torch import Tensor

from activmask.ground.errors import UsageError


@dataclass(frozen=True)
class ModelOutput:
    """What one forward pass computed; nothing of it stays on the model.

    Shapes: B images, K classes, C channels, H x W pixels.
    """

    logits: Tensor
    """(B, K) class scores before the softmax."""
    reconstruction: Tensor | None = None
    """(B, C, H, W) decoder output before any sigmoid, or None without a decoder."""
    pre_activations: Mapping[str, Tensor] = field(default_factory=dict)
    """Inputs of the activation functions by name, in the order of execution, each (B, ...)."""
    features: Tensor | None = None
    """What the last of them gave, (B, ...); None without any, and where hooks are compiled."""


class NotKept(Mapping[str, Tensor]):
    """In the place of pre-activations that nobody asked for; every look at them raises a UsageError.

    An empty mapping would make of what is computed over all activations a 0.
    """

    def __getitem__(self, name: str) -> Never:
        """Refuse."""
        raise self._refusal()

    def __iter__(self) -> Iterator[str]:
        """Refuse."""
        raise self._refusal()

    def __len__(self) -> int:
        """Refuse."""
        raise self._refusal()

    def _refusal(self) -> UsageError:
        return UsageError(
            "an objective reads the network's activations, and does not say so",
            advice="give what it needs as Needs(activations=True)",
        )
