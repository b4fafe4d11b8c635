"""An attribution prior by expected gradients: what is outside the mask adds nothing to the decision.

Shapes: B images, K classes, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.gradmask import decision
from activmask.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ExpectedGradientsSettings:
    """How strongly attribution outside the mask is penalised."""

    expected_gradients: float = setting(
        0.0,
        "Weight of the squared expected gradients outside the mask.",
        least=0,
        most=MOST_WEIGHT,
        unsaid=True,
    )


def path_to(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One point of the path to each image from a reference, and the whole of that path.

    The reference is an image of the batch, each as likely, itself among them; the point's place is
    uniform. The gradient of a score at the point times the path is one sample of the image's expected
    gradients (Erion et al. 2021, arXiv 1906.10670), which add up to the score less its mean over
    references; one sample an image and step is what they train with.

    Args:
        images: (B, C, H, W).
        generator: draws references and places.

    Returns:
        Points and paths, each (B, C, H, W).
    """
    import torch

    batch = len(images)
    chosen = torch.randint(batch, (batch,), generator=generator, device=images.device)
    place = torch.rand((batch, 1, 1, 1), generator=generator, device=images.device, dtype=images.dtype)
    path = images - images[chosen]
    return images[chosen] + place * path, path


def attribution_size(outside: Tensor) -> Tensor:
    """The squares of attributions (B, C, H, W) that are 0 inside, summed over each image; their mean.

    The prior that they write for Ross et al. (2017), of expected gradients instead of gradients.
    """
    return outside.square().flatten(1).sum(dim=1).mean()


EXPECTED_GRADIENTS = Objective(
    settings=ExpectedGradientsSettings,
    switches={"expected_gradients": Needs(masks=True, surroundings=True, second_derivative=True)},
    label=lambda _: "Expected Gradients",
    source="Erion et al. 2021, arXiv 1906.10670",
    score=lambda _, logits, labels: decision(logits, labels=labels),
    path=lambda _, images, generator: path_to(images, generator),
    term=lambda _, step: attribution_size(step.outside["expected_gradients"]),
)
