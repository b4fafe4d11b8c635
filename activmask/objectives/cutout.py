"""Cutout: training images with a random square set to 0 (DeVries & Taylor 2017, arXiv 1708.04552).

Shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activmask.data.files.limits import SIDES
from activmask.ground.settings import setting
from activmask.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CutoutSettings:
    """How large the square is, and where it may lie."""

    cutout: int = setting(
        0,
        "Side in px of a random square set to 0 in training.",
        least=0,
        most=2 * SIDES.most,
    )
    cutout_inside: int = setting(
        0,
        "Side in px of a square whose centre, and all that it sets to 0, lies inside the mask.",
        least=0,
        most=2 * SIDES.most,
        unsaid=True,
    )
    cutout_outside: int = setting(
        0,
        "The same outside the mask.",
        least=0,
        most=2 * SIDES.most,
        unsaid=True,
    )


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
    import torch

    batch, _, height, width = images.shape
    top, left = (
        torch.randint(length, (batch, 1, 1), generator=generator, device=images.device) - side // 2
        for length in (height, width)
    )
    return images.masked_fill(_squares(top, left, side, height, width), 0)


def cutout_within(images: Tensor, side: int, regions: Tensor, generator: torch.Generator) -> Tensor:
    """Set what a random square of each image covers of a region to 0, and nothing else.

    The square's centre is uniform over the region; an image whose region is empty stays whole.

    Args:
        images: (B, C, H, W).
        side: of the square in px.
        regions: bool (B, 1, H, W).
        generator: draws the centres.

    Returns:
        (B, C, H, W).
    """
    import torch

    batch, _, height, width = images.shape
    ranks = regions.flatten(1).cumsum(dim=1)
    counts = ranks[:, -1:]
    part = torch.rand((batch, 1), generator=generator, device=images.device, dtype=torch.float32)
    # A product may be rounded up to the count itself, and an empty region has none.
    chosen = torch.minimum((part * counts).long(), counts - 1)
    centre = (ranks <= chosen).sum(dim=1).view(batch, 1, 1)
    top, left = centre // width - side // 2, centre % width - side // 2
    return images.masked_fill(_squares(top, left, side, height, width) & regions, 0)


def _squares(top: Tensor, left: Tensor, side: int, height: int, width: int) -> Tensor:
    """Squares of one side from their first rows and columns, int64 (B, 1, 1); bool (B, 1, H, W)."""
    import torch

    rows = torch.arange(height, device=top.device).view(1, height, 1) - top
    columns = torch.arange(width, device=top.device).view(1, 1, width) - left
    return ((rows >= 0) & (rows < side) & (columns >= 0) & (columns < side))[:, None]


def _alter(settings: CutoutSettings, images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    if settings.cutout:
        images = cutout(images, settings.cutout, generator)
    if settings.cutout_inside:
        images = cutout_within(images, settings.cutout_inside, masks, generator)
    if settings.cutout_outside:
        images = cutout_within(images, settings.cutout_outside, ~masks, generator)
    return images


def _label(settings: CutoutSettings) -> str:
    sides = {
        "Cutout {}": settings.cutout,
        "Cutout {} inside": settings.cutout_inside,
        "Cutout {} outside": settings.cutout_outside,
    }
    return " & ".join(text.format(side) for text, side in sides.items() if side)


CUTOUT = Objective(
    settings=CutoutSettings,
    switches={
        "cutout": Needs(),
        "cutout_inside": Needs(masks=True),
        "cutout_outside": Needs(masks=True, surroundings=True),
    },
    label=_label,
    source="DeVries & Taylor 2017, arXiv 1708.04552",
    alter=_alter,
)
