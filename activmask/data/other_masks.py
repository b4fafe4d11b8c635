"""Masks that are of no place, of another image, or of poorer quality: what controls train with.

Shapes: N masks of H x W pixels.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_PIXELS_AT_ONCE = 2**22
"""Of the masks being moved, each of which takes 8 bytes per pixel meanwhile: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How far the masks that training looks at agree with those of the data set, image by image."""

    masks: int
    """How many are compared: all pairs of which at least one covers something."""
    mean_iou: float | None
    """Intersection over union, in [0, 1]; None without a mask, as is the next."""
    chance_iou: float | None
    """What masks of these areas come to if one of each pair lies anywhere, every place as likely."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


def derangement(count: int, rng: np.random.Generator) -> Tensor:
    """A permutation of 0 to count - 1 that leaves none in its place, every such one as likely.

    Drawn by rejection, which takes e = 2.7 tries on average.

    Args:
        count: at least 2.
        rng: draws it.

    Returns:
        int64 (count,).
    """
    assert count >= 2, count
    own = np.arange(count)
    drawn = rng.permutation(count)
    while (drawn == own).any():
        drawn = rng.permutation(count)
    return torch.from_numpy(drawn)


def anywhere(count: int, rng: np.random.Generator) -> Tensor:
    """Moves by any part of the image down and right, every one as likely: float64 (count, 2) in [0, 1)."""
    return torch.from_numpy(rng.random((count, 2)))


def aside(count: int, distance: float, rng: np.random.Generator) -> Tensor:
    """Moves by one distance in any direction: float64 (count, 2), parts of the image down and right."""
    angles = torch.from_numpy(rng.random(count)) * (2 * math.pi)
    return distance * torch.stack([angles.sin(), angles.cos()], dim=1)


def moved(masks: Tensor, moves: Tensor) -> Tensor:
    """Each mask rolled down and right; what leaves the image comes in again at the opposite edge.

    So area is kept to the pixel and shape but for where it is cut by an edge, and of a mask that is
    moved `anywhere` every pixel is as likely inside as any other.

    Args:
        masks: bool (N, 1, H, W).
        moves: float64 (N, 2) on the CPU, parts of H and W, rounded to whole px, halves up.

    Returns:
        bool (N, 1, H, W).
    """
    found = torch.empty_like(masks)
    height, width = masks.shape[-2:]
    together = max(1, _PIXELS_AT_ONCE // max(1, height * width))
    for few in torch.arange(len(masks)).split(together):
        down, right = (
            (moves[few, axis, None] * side + 0.5).floor().long() for axis, side in enumerate((height, width))
        )
        rows = ((torch.arange(height) - down) % height).to(masks.device)
        columns = ((torch.arange(width) - right) % width).to(masks.device)
        numbers = few.to(masks.device)
        found[numbers, 0] = masks[numbers[:, None, None], 0, rows[:, :, None], columns[:, None, :]]
    return found


def resized_by(masks: Tensor, px: int) -> Tensor:
    """Masks grown by a square of `px` to every side, or shrunk by it where `px` is negative.

    What is beyond the edges counts as outside when a mask grows and as inside when it shrinks, so a
    mask that covers all of the image still does.

    Args:
        masks: bool (N, 1, H, W).
        px: how far.

    Returns:
        bool (N, 1, H, W).
    """
    if px < 0:
        return ~resized_by(~masks, -px)
    side = 2 * px + 1
    together = max(1, _PIXELS_AT_ONCE // max(1, masks[:1].numel()))
    parts = []
    for few in masks.split(together):
        rows = F.max_pool2d(few.float(), (side, 1), stride=1, padding=(px, 0))
        parts.append(F.max_pool2d(rows, (1, side), stride=1, padding=(0, px)) > 0)
    return torch.cat(parts) if parts else masks


def overlap(inside: np.ndarray, common: np.ndarray, area: int) -> Overlap:
    """How far pairs of masks agree.

    Args:
        inside: int64 (N, 2), the px inside each of the two.
        common: int64 (N,), those inside both.
        area: px of the image.
    """
    either = inside.sum(axis=1) - common
    some = either > 0
    if not some.any():
        return Overlap(masks=0, mean_iou=None, chance_iou=None)
    expected = inside[some].prod(axis=1) / area
    return Overlap(
        masks=int(some.sum()),
        mean_iou=float((common[some] / either[some]).mean()),
        chance_iou=float((expected / (inside[some].sum(axis=1) - expected)).mean()),
    )
