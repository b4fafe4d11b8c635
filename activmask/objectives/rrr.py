"""Right for the right reasons: the squared input gradient outside the mask.

Shapes: B images, K classes, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.input_gradient import outside_gradient
from activmask.objectives.multi_label import log_probabilities
from activmask.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class RrrSettings:
    """How strongly the squared input gradient is penalised."""

    rrr: float = setting(0.0, "Weight of 'right for the right reasons'.", least=0, most=MOST_WEIGHT)


def rrr(logits: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """The squared input gradient of the summed log-probabilities outside the mask.

    "Right for the right reasons" (Ross et al. 2017, arXiv 1703.03717, Eq. 1), summed over an
    image and averaged over the batch, as the cross-entropy beside it is.

    Args:
        logits: (B, K), computed from `images`.
        images: (B, C, H, W), requiring gradients.
        masks: bool (B, 1, H, W), True inside the region of interest.

    Returns:
        A scalar, at least 0, that can itself be differentiated.
    """
    return _squared(outside_gradient(_log_probabilities(logits), images, masks))


def _log_probabilities(logits: Tensor) -> Tensor:
    """Of all classes, summed, (B,)."""
    return logits.log_softmax(dim=1).sum(dim=1)


def _decision(logits: Tensor, labels: Tensor) -> Tensor:
    """What is differentiated of each image, (B,): of several labels both answers about each."""
    return log_probabilities(logits) if labels.ndim == 2 else _log_probabilities(logits)


def _squared(outside: Tensor) -> Tensor:
    return outside.square().flatten(1).sum(dim=1).mean()


RRR = Objective(
    settings=RrrSettings,
    switches={"rrr": Needs(masks=True, surroundings=True, second_derivative=True)},
    label=lambda _: "RRR",
    source="Ross et al. 2017, arXiv 1703.03717, Eq. 1",
    several_labels=lambda _: "",
    score=lambda _, logits, labels: _decision(logits, labels),
    term=lambda _, step: _squared(step.outside["rrr"]),
)
