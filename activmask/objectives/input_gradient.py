"""The gradient of an output with respect to the input, outside the mask.

Shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def outside_gradient(scores: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """The input gradient of every image's score, 0 inside the mask; it can be differentiated again.

    Args:
        scores: (B,), computed from `images`.
        images: (B, C, H, W), requiring gradients.
        masks: bool (B, 1, H, W), True inside the region of interest.
            All three may have one axis more in front, of seeds.

    Returns:
        The shape of `images`.
    """
    import torch

    # One backward pass serves the batch: an image's score depends on its own pixels alone, save
    # for batch statistics, whose cross terms the published form keeps as well.
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient * ~masks
