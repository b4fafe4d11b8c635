"""What each position of a network's last feature map adds to its class scores: HiResCAM.

Shapes: B images, C channels, h x w positions, K classes, H x W pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def hirescam(features: Tensor, gradient: Tensor) -> Tensor:
    """The sum over channels of a feature map times the gradient of a score with respect to it.

    Draelos & Carin 2020, arXiv 2011.08891. Where the score is an affine function of the map, as where a
    linear layer reads it whole or its means, the sum of these values is the score less its bias.

    Args:
        features: (B, C, h, w).
        gradient: likewise.

    Returns:
        (B, h, w), signed; in single precision at least.
    """
    import torch

    wide = torch.promote_types(features.dtype, torch.float32)
    return (features.to(wide) * gradient.to(wide)).sum(dim=-3)


def head_gradients(logits: Tensor, features: Tensor) -> list[Tensor]:
    """The gradient of each class's score with respect to the last feature map; each can be differentiated.

    One backward pass a class, through the head alone: no convolution is differentiated twice.

    Args:
        logits: (B, K), computed from `features`. It may have one axis more in front, of seeds.
        features: of any shape.

    Returns:
        K tensors of the shape of `features`.
    """
    import torch

    return [torch.autograd.grad(own.sum(), features, create_graph=True)[0] for own in logits.unbind(dim=-1)]


def evidence(logits: Tensor, features: Tensor) -> Tensor:
    """HiResCAM of every class, (B, K, h, w), of logits (B, K) and the features (B, C, h, w) they came of."""
    import torch

    return torch.stack([hirescam(features, own) for own in head_gradients(logits, features)], dim=1)


def wholly_outside(masks: Tensor, positions: tuple[int, int]) -> Tensor:
    """The positions of a feature map in whose cell no pixel lies inside the mask.

    So the released code shrinks masks: what is inside in part may be looked at.

    Args:
        masks: bool (B, 1, H, W), True inside the region of interest.
        positions: h and w.

    Returns:
        Bool (B, h, w).
    """
    from torch.nn import functional as F

    return F.adaptive_max_pool2d(masks.float(), positions)[:, 0] == 0
