"""The penalty on the input gradient of the decision outside the mask (paper Eq. 2).

Shapes: B images, K classes, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.errors import UsageError
from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.input_gradient import outside_gradient
from activmask.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    from torch import Tensor

Norm = Literal["l2", "l1"]
Target = Literal["contrast", "positive"]


@dataclass(frozen=True, kw_only=True)
class GradmaskSettings:
    """How strongly and in which form the input gradient is penalised."""

    gradmask: float = setting(
        0.0, "Weight of the input gradient outside the mask.", least=0, most=MOST_WEIGHT
    )
    gradmask_norm: Norm = setting(
        "l2",
        "l2: norm per image, averaged (Eq. 2); l1: absolute values summed over the batch.",
        form=True,
        in_name=str,
        in_label=str,
    )
    gradmask_target: Target = setting(
        "contrast",
        "Differentiate |y1 - y0| or the positive class's |y1|.",
        form=True,
        in_name=str,
        in_label=str,
    )


def gradmask(
    logits: Tensor, images: Tensor, masks: Tensor, *, norm: Norm, target: Target = "contrast"
) -> Tensor:
    """The size of the input gradient outside the mask (Simpson et al. 2019b; paper Eq. 2).

    Args:
        logits: (B, 2), computed from `images`.
        images: (B, C, H, W), requiring gradients.
        masks: bool (B, 1, H, W), True inside the region of interest.
        norm: `l2`, one Euclidean norm per image, averaged over the batch; or `l1`, the absolute
            values summed over the whole batch, as the authors ran it.
        target: differentiate |y1 - y0| (`contrast`) or |y1| (`positive`).

    Returns:
        A scalar, at least 0, that can itself be differentiated.

    Raises:
        UsageError: `contrast` asked of other than two classes.
    """
    return gradient_size(outside_gradient(decision(logits, target), images, masks), norm)


def decision(logits: Tensor, target: Target = "contrast") -> Tensor:
    """What gradmask differentiates of each image, (B,), given its logits (B, 2).

    Raises:
        UsageError: `contrast` asked of other than two classes.
    """
    if target == "contrast" and logits.shape[1] != 2:
        raise UsageError(
            f"gradmask's contrast needs two classes, found {logits.shape[1]}; use gradmask_target positive"
        )
    score = logits[:, 1] - logits[:, 0] if target == "contrast" else logits[:, 1]
    return score.abs()


def gradient_size(outside: Tensor, norm: Norm) -> Tensor:
    """The size of input gradients (B, C, H, W) that are 0 inside the mask, see `gradmask`; a scalar."""
    import torch

    if norm == "l1":
        return outside.abs().sum()
    lengths: Tensor = torch.linalg.vector_norm(outside.flatten(1), dim=1)
    return lengths.mean()


GRADMASK = Objective(
    settings=GradmaskSettings,
    switches={"gradmask": Needs(masks=True, surroundings=True, second_derivative=True)},
    label=lambda _: "Gradmask",
    source="Simpson et al. 2019, arXiv 1904.07478; paper Eq. 2",
    score=lambda settings, logits: decision(logits, settings.gradmask_target),
    term=lambda settings, step: gradient_size(step.outside["gradmask"], settings.gradmask_norm),
    sums=lambda settings: settings.gradmask_norm == "l1",
)
