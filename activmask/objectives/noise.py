"""Gaussian noise as strong as the shuffle outside the mask, wherever it is put: where apart from how much.

Shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.settings import setting
from activmask.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Place = Literal["off", "anywhere", "inside", "outside"]

_LEAST = 1e-12
"""Of the sum of squares that noise is scaled by: an empty place has none, and its noise stays 0."""


@dataclass(frozen=True, kw_only=True)
class NoiseSettings:
    """Where training images get noise."""

    noise: Place = setting(
        "off",
        "Control: add Gaussian noise to training images, of the same sum of squares in each as the shuffle "
        "outside its mask: anywhere, or inside or outside the mask alone.",
        in_name="noise-{}".format,
        bare="anywhere",
        unsaid=True,
    )


def matched_noise(change: Tensor, place: Tensor | None, generator: torch.Generator) -> Tensor:
    """Gaussian noise whose sum of squares over each image is that of a change.

    Args:
        change: (B, C, H, W), for example a shuffled copy less the image.
        place: bool (B, 1, H, W), where noise may be; None for anywhere. Where an image has no such place,
            its noise is 0.
        generator: draws it.

    Returns:
        (B, C, H, W), independent in every pixel and channel but for the common scale.
    """
    import torch

    drawn = torch.randn(change.shape, generator=generator, device=change.device, dtype=change.dtype)
    if place is not None:
        drawn = drawn * place
    wanted, found = (one.square().sum(dim=(1, 2, 3), keepdim=True) for one in (change, drawn))
    return drawn * (wanted / found.clamp(min=_LEAST)).sqrt()


def noisy_copy(images: Tensor, shuffled: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W) with noise anywhere, as strong in each as what tells its shuffled copy apart."""
    return images + matched_noise(shuffled - images, None, generator)


def _alter(settings: NoiseSettings, images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    from activmask.kernels.masked_shuffle import masked_shuffle

    place = {"anywhere": None, "inside": masks, "outside": ~masks}[settings.noise]
    change = masked_shuffle(images, masks, generator) - images
    return images + matched_noise(change, place, generator)


NOISE = Objective(
    settings=NoiseSettings,
    switches={"noise": Needs(masks=True, surroundings=True)},
    label=lambda settings: "" if settings.noise == "off" else f"Noise {settings.noise}",
    source="as strong as the shuffle of paper Eq. 1",
    alter=_alter,
)
