"""The classification loss, and the images it is computed on.

Shapes: B images, K classes, C channels, H x W pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from activmask.config import MaskedFill


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of logits (B, K) against classes (B,) (paper sec. 4)."""
    return F.cross_entropy(logits, labels)


FILLS: dict[MaskedFill, float] = {"black": 0.0, "grey": 0.5}
"""What lies outside a mask in the classify-masked control, in [0, 1]."""


def keep_inside(images: Tensor, masks: Tensor, fill: MaskedFill = "black") -> Tensor:
    """Images (B, C, H, W) made blank outside their masks (B, 1, H, W): the classify-masked control."""
    return images * masks + FILLS[fill] * ~masks if FILLS[fill] else images * masks


def cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Set a random square of each image to 0 (DeVries & Taylor 2017, arXiv 1708.04552).

    As published, the square's centre is uniform over the image, so it may stick out of it.

    Args:
        images: (B, C, H, W).
        side: of the square in px.
        generator: draws the centres.

    Returns:
        (B, C, H, W).
    """
    batch, _, height, width = images.shape
    top, left = (
        torch.randint(length, (batch, 1, 1), generator=generator, device=images.device) - side // 2
        for length in (height, width)
    )
    rows = torch.arange(height, device=images.device).view(1, height, 1) - top
    columns = torch.arange(width, device=images.device).view(1, 1, width) - left
    square = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return images.masked_fill(square[:, None], 0)
