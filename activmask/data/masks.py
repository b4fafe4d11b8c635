"""Regions of interest: dilation, circles, and keeping only some of them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

GAUSSIAN_TRUNCATION = 4.0
"""Sigmas after which scikit-image's and SciPy's Gaussian kernels end."""


_PIXELS_AT_ONCE = 2**22
"""Of the masks being dilated, each of which takes 12 bytes a pixel meanwhile: 50 MB."""


def dilation_radius(sigma: float) -> int:
    """By how many px a blur of `sigma` px, then "anything above 0", grows a mask."""
    return int(GAUSSIAN_TRUNCATION * sigma + 0.5)


def dilate(masks: Tensor, sigma: float) -> Tensor:
    """Grow masks by a Gaussian blur followed by "anything above 0 is inside" (paper sec. 4).

    The blurred mask is above 0 exactly where the kernel's square support meets the mask, so a
    maximum over that square gives the same mask. Beyond its result it needs memory for a few masks
    at a time only.

    Args:
        masks: bool (N, 1, H, W), True inside the region of interest.
        sigma: of the blur in px at the stored resolution; 0 leaves the masks alone.

    Returns:
        bool (N, 1, H, W).
    """
    radius = dilation_radius(sigma)
    if radius == 0:
        return masks
    grown = torch.empty(masks.shape, dtype=torch.bool, device=masks.device)
    together = max(1, _PIXELS_AT_ONCE // max(1, masks[:1].numel()))
    for few, grown_few in zip(masks.split(together), grown.split(together), strict=True):
        grown_few.copy_(_dilated(few, radius))
    return grown


def _dilated(masks: Tensor, radius: int) -> Tensor:
    side = 2 * radius + 1
    grown = F.max_pool2d(masks.float(), (side, 1), stride=1, padding=(radius, 0))
    return F.max_pool2d(grown, (1, side), stride=1, padding=(0, radius)) > 0


def circle(size: int) -> Tensor:
    """A centred disc of radius size / 2.5, bool (1, size, size) (paper sec. 6)."""
    axis = torch.arange(size) - (size - 1) / 2
    return ((axis[:, None] ** 2 + axis[None, :] ** 2) <= (size / 2.5) ** 2)[None]


def keep_share(labels: Tensor, has_mask: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Which images keep their mask when only a share of the masks is available (paper App. A).

    Args:
        labels: int64 (N,).
        has_mask: bool (N,), the images that have one at all.
        share: of the masks of each class to keep, in [0, 1]; rounded to whole images.
        rng: draws which ones.

    Returns:
        bool (N,), a subset of `has_mask`.
    """
    kept = torch.zeros_like(has_mask)
    for label in labels.unique():
        candidates = torch.nonzero((labels == label) & has_mask).flatten().numpy()
        chosen = rng.permutation(candidates)[: round(share * len(candidates))]
        kept[torch.from_numpy(chosen)] = True
    return kept
