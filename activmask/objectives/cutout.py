"""Cutout: training images with a random square set to 0 (DeVries & Taylor 2017, arXiv 1708.04552)."""

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
    """How large the square is."""

    cutout: int = setting(
        0,
        "Side in px of a random square set to 0 in training.",
        least=0,
        most=2 * SIDES.most,
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
    rows = torch.arange(height, device=images.device).view(1, height, 1) - top
    columns = torch.arange(width, device=images.device).view(1, 1, width) - left
    square = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return images.masked_fill(square[:, None], 0)


CUTOUT = Objective(
    settings=CutoutSettings,
    switches={"cutout": Needs()},
    label=lambda settings: f"Cutout {settings.cutout}",
    source="DeVries & Taylor 2017, arXiv 1708.04552",
    alter=lambda settings, images, generator: cutout(images, settings.cutout, generator),
)
