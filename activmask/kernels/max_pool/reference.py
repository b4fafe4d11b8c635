"""Maxima of windows of 2 x 2 pixels and their derivatives in plain PyTorch.

Of equal values the first of a window counts, row by row, and of values that are no numbers the last, as
torch's own maxima have it. Rows and columns that fill no window are left out. Tensors are of one type.

Shapes: B images, C channels, H x W pixels, h = H // 2, w = W // 2.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from activmask.kernels.convolution.reference import layout_of


def max_pool(images: Tensor) -> Tensor:
    """The maxima (B, C, h, w) of images (B, C, H, W)."""
    return F.max_pool2d(images, 2).contiguous(memory_format=layout_of(images))


def spread(gradient: Tensor, images: Tensor) -> Tensor:
    """Gradients (B, C, h, w) of the maxima, where those lie in the images, (B, C, H, W), and 0 elsewhere."""
    flat = torch.zeros_like(images, memory_format=torch.contiguous_format).flatten(2)
    found = flat.scatter(2, _places(images), gradient.flatten(2)).view(images.shape)
    return found.contiguous(memory_format=layout_of(images))


def gather(tangent: Tensor, images: Tensor) -> Tensor:
    """Of values (B, C, H, W) those where the images have their maxima, (B, C, h, w)."""
    found = tangent.flatten(2).gather(2, _places(images))
    return found.view(pooled_size(images)).contiguous(memory_format=layout_of(images))


def _places(images: Tensor) -> Tensor:
    """Where in the images' rows, one after another, the maxima lie, int64 (B, C, h * w)."""
    _, places = F.max_pool2d(images, 2, return_indices=True)
    return places.flatten(2)


def pooled_size(images: Tensor) -> torch.Size:
    """The size (B, C, h, w) of what images (B, C, H, W) are pooled to."""
    return torch.Size((*images.shape[:2], images.shape[2] // 2, images.shape[3] // 2))
