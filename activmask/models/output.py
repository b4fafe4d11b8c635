"""What every model of this package returns."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class ModelOutput:
    """What one forward pass computed; nothing of it stays on the model.

    Shapes: B images, K classes, C channels, H x W pixels.
    """

    logits: Tensor
    """(B, K) class scores before the softmax."""
    reconstruction: Tensor | None = None
    """(B, C, H, W) decoder output before any sigmoid, or None without a decoder."""
    pre_activations: dict[str, Tensor] = field(default_factory=dict)
    """Inputs of the activation functions by name, in the order of execution, each (B, ...)."""
    features: Tensor | None = None
    """What the last of them gave, (B, ...); None without any, and where hooks are compiled."""
