"""The penalty on the input gradient of the decision outside the mask (paper Eq. 2).

Shapes: B images, K classes, C channels, H x W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.errors import UsageError
from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.input_gradient import outside_gradient
from activmask.objectives.multi_label import positive_logits
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
        "Differentiate the contrast, |y1 - y0|, of more classes that of the true one against the best other, "
        "of several labels the sum of those that are true; or the positive class's |y1|.",
        form=True,
        in_name=str,
        in_label=str,
    )


def gradmask(
    logits: Tensor,
    images: Tensor,
    masks: Tensor,
    *,
    norm: Norm,
    target: Target = "contrast",
    labels: Tensor | None = None,
) -> Tensor:
    """The size of the input gradient outside the mask (Simpson et al. 2019b; paper Eq. 2).

    Args:
        logits: (B, K), computed from `images`.
        images: (B, C, H, W), requiring gradients.
        masks: bool (B, 1, H, W), True inside the region of interest.
        norm: `l2`, one Euclidean norm per image, averaged over the batch; or `l1`, the absolute
            values summed over the whole batch, as the authors ran it.
        target: differentiate the `contrast` of classes or |y1| (`positive`), see `decision`.
        labels: int64 (B,), which the contrast of more than two classes needs.

    Returns:
        A scalar, at least 0, that can itself be differentiated.

    Raises:
        UsageError: the contrast of a single class, or of more than two without labels.
    """
    return gradient_size(outside_gradient(decision(logits, target, labels), images, masks), norm)


def decision(logits: Tensor, target: Target = "contrast", labels: Tensor | None = None) -> Tensor:
    """What gradmask differentiates of each image, (B,), given its logits (B, K).

    The contrast is |y1 - y0| (paper Eq. 2); with more classes, that of the true class t against the
    best other, |y_t - max over k != t of y_k|, which for two classes is the same. Labels that do not
    exclude each other have no contrast: of them it is the sum of the logits of those that are true.

    Args:
        logits: (B, K).
        target: the contrast, or the positive class's |y1|.
        labels: int64 (B,), which the contrast of more than two classes needs; or (B, K) of several labels.

    Raises:
        UsageError: the contrast of a single class, or of more than two without labels.
    """
    if labels is not None and labels.ndim == 2:
        return positive_logits(logits, labels)
    if target == "positive":
        return logits[:, 1].abs()
    if logits.shape[1] == 2:
        return (logits[:, 1] - logits[:, 0]).abs()
    if labels is None or logits.shape[1] < 2:
        raise UsageError(
            "gradmask's contrast needs two classes, or more and the labels", found=f"{logits.shape[1]}"
        )
    true = labels[:, None]
    others = logits.scatter(1, true, -math.inf)
    return (logits.gather(1, true)[:, 0] - others.max(dim=1).values).abs()


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
    several_labels=lambda settings: (
        "gradmask_target positive is of the second class, and these labels do not exclude each other"
        if settings.gradmask_target == "positive"
        else ""
    ),
    score=lambda settings, logits, labels: decision(logits, settings.gradmask_target, labels),
    term=lambda settings, step: gradient_size(step.outside["gradmask"], settings.gradmask_norm),
    sums=lambda settings: settings.gradmask_norm == "l1",
)
