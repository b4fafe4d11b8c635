"""What little of a picture a probe is shown: its border, or a thumbnail.

Shapes: N images, C channels, H x W pixels, cells of a grid of h x w.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

GRID = 16
"""Cells of the thumbnail in each direction; fewer for smaller images."""

_TOGETHER = 256


def border_px(height: int, width: int) -> tuple[int, int]:
    """How wide the border is, in px of rows and columns: one cell, so a sixteenth of the image."""
    return -(-height // _cells(height)), -(-width // _cells(width))


def thumbnail_px(height: int, width: int) -> int:
    """The longer side of the thumbnail in px."""
    return max(_cells(height), _cells(width))


def thumbnail(images: Tensor) -> NDArray[np.float32]:
    """The means of cells, (N, C * h * w), of images (N, C, H, W)."""
    return _grids(images)[0].flatten(1).numpy()


def border(images: Tensor) -> NDArray[np.float32]:
    """The means and deviations of the outermost cells, (N, 2 * C * cells), of images (N, C, H, W).

    Deviations show text, noise and edges that a mean hides.
    """
    means, deviations = _grids(images)
    outer = torch.ones(means.shape[2:], dtype=torch.bool)
    outer[1:-1, 1:-1] = False
    return torch.cat([means[..., outer], deviations[..., outer]], dim=2).flatten(1).numpy()


def _cells(side: int) -> int:
    return min(GRID, side)


def _grids(images: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the deviation in each cell, both (N, C, h, w)."""
    size = (_cells(images.shape[-2]), _cells(images.shape[-1]))
    means, deviations = [], []
    for part in images.split(_TOGETHER):
        mean = F.adaptive_avg_pool2d(part, size)
        square = F.adaptive_avg_pool2d(part.square(), size)
        means.append(mean)
        deviations.append((square - mean.square()).clamp(min=0).sqrt())
    return torch.cat(means), torch.cat(deviations)
