"""Gaussian blurs of images whose time does not grow with the width of the Gaussian.

Shapes: N images, C channels, H x W pixels, cells of f x f pixels.
"""

from typing import Literal

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

COARSE = 12.0
"""Sigma in cells, at least, of a blur that is computed on cells of several px."""

_REACH = 4.0
"""Of a Gaussian, in sigma; the filter of scipy ends there."""

Edge = Literal["constant", "nearest"]
"""What lies beyond the edge: zeros, or the nearest pixel."""


def gaussian_blur(images: Tensor, sigma: float, edge: Edge) -> Tensor:
    """Images blurred by a Gaussian that is cut off at 4 sigma, (N, C, H, W).

    From a sigma of 2 `COARSE` px on it is computed on the means of cells, of f x f px with f = sigma /
    `COARSE` rounded down, and interpolated bilinearly between them; the variances that both add are taken off
    that of the Gaussian. Every value of images in [0, 1] is then within 0.001 of what the Gaussian gives. All
    weights are at least 0, and the same for any images: a quotient of two blurs stays a mean.

    Args:
        images: float32 (N, C, H, W), on the CPU.
        sigma: in px, above 0.
        edge: what lies beyond the edge.
    """
    cell = int(sigma / COARSE)
    if cell < 2:
        return _exact(images, sigma, edge)
    height, width = images.shape[-2:]
    # Beyond the edge: as far as the Gaussian reaches, or a cell of zeros to interpolate to.
    beyond = cell * (int(_REACH * sigma / cell) + 2 if edge == "nearest" else 1)
    more = (beyond, beyond + -width % cell, beyond, beyond + -height % cell)
    whole = F.pad(images, more, mode="replicate" if edge == "nearest" else "constant")
    # A box of f px has the variance (f^2 - 1) / 12, bilinear interpolation adds f^2 / 6 on average.
    rest = sigma**2 - (cell**2 - 1) / 12 - cell**2 / 6
    coarse = _exact(F.avg_pool2d(whole, cell), rest**0.5 / cell, "constant")
    fine = F.interpolate(coarse, whole.shape[-2:], mode="bilinear", align_corners=False)
    return fine[..., beyond : beyond + height, beyond : beyond + width]


def _exact(images: Tensor, sigma: float, edge: Edge) -> Tensor:
    return torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode=edge))
