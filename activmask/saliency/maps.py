"""What is read off an attribution map: its highest pixels, and how much of it lies inside a mask."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sign = Literal["positive", "absolute"]
"""Which values of a signed map count: those above 0, or all by their size."""

TOP_SHARE = 0.1
"""The share of an image's pixels that count as the highest (paper Figure 4)."""


def top_count(pixels: int, share: float) -> int:
    """How many of an image's pixels a share of them is, at least 1."""
    return max(1, round(share * pixels))


def top_pixels(attribution: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """The `share` of pixels of highest attribution, bool (H, W), of attribution (H, W) at least 0.

    Pixels that equal the lowest one chosen come along, pixels of attribution 0 never do.
    """
    k = top_count(attribution.size, share)
    lowest = np.partition(attribution, -k, axis=None)[-k]
    chosen: NDArray[np.bool_] = (attribution >= lowest) & (attribution > 0)
    return chosen


def mass_inside(attribution: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of each map's sum that is inside its mask, (N,) in [0, 1]; NaN for a map of zeros.

    Arras et al. 2022 (arXiv 2003.07258).

    Args:
        attribution: (N, P), finite and at least 0.
        inside: (N, P).
    """
    total = attribution.sum(axis=1)
    within = (attribution * inside).sum(axis=1)
    shares = np.full(len(total), np.nan)
    np.divide(within, total, out=shares, where=total > 0)
    return shares
