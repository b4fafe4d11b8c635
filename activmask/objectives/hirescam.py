"""The HiResCAM mask loss: no position outside the mask may speak for a class.

Shapes: B images, K classes, C channels, h x w positions of the last feature map, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activmask.ground.errors import UsageError
from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.evidence import evidence, wholly_outside
from activmask.objectives.objective import Needs, Objective, Step, Trial

if TYPE_CHECKING:
    from torch import Tensor

_AFFINE = 1e-9
"""By which share of itself evidence may differ from the score that it adds up to, in double precision."""


@dataclass(frozen=True, kw_only=True)
class HirescamSettings:
    """How strongly evidence outside the mask is penalised."""

    hirescam: float = setting(
        0.0,
        "Weight of the HiResCAM mask loss: evidence for a class in the last feature map outside the mask.",
        least=0,
        most=MOST_WEIGHT,
        unsaid=True,
    )


def mask_loss(evidence: Tensor, outside: Tensor) -> Tensor:
    """The cross-entropy of evidence outside the mask against no evidence.

    The mask loss of Draelos & Carin 2020 (arXiv 2011.08891, versions 1 to 3), as their released code
    computes it: log(1 + exp(evidence)), averaged over classes and positions outside the mask. Theirs are
    labels that do not exclude each other; a softmax knows only differences of scores, so here the mean
    over classes is taken off first. Without evidence it is log 2.

    Args:
        evidence: (B, K, h, w), from `evidence`.
        outside: bool (B, h, w), what is penalised.

    Returns:
        A scalar, averaged over images; those without a position outside count 0.
    """
    from torch.nn import functional as F

    relative = evidence - evidence.mean(dim=1, keepdim=True)
    each = F.softplus(relative).mean(dim=1) * outside
    return (each.sum(dim=(1, 2)) / outside.sum(dim=(1, 2)).clamp(min=1)).mean()


def _term(_: HirescamSettings, step: Step) -> Tensor:
    assert step.evidence is not None
    height, width = step.evidence.shape[-2:]
    return mask_loss(step.evidence, wholly_outside(step.masks, (height, width)))


def _fits(_: HirescamSettings, trial: Trial) -> None:
    """Refuse a network whose scores are not a sum over positions of what it activated last."""
    features = trial.features
    if features is None or features.ndim != 4 or not _is_sum(trial):
        raise UsageError(
            "hirescam needs a network whose class scores are sums over the positions of its last activation, "
            f"which those of {trial.name} are not; choose resnet18, cnn or unet, for example"
        )
    if features.shape[2:].numel() == 1:
        raise UsageError(
            f"hirescam cannot tell places apart: the last feature map of {trial.name} has a single position "
            "in images of this size",
            advice="choose larger images or a network that shrinks them less",
        )


def _is_sum(trial: Trial) -> bool:
    """Whether scores less their evidence are the same for any image."""
    from copy import deepcopy

    import torch

    model = deepcopy(trial.model).double().eval()
    source = torch.Generator().manual_seed(0)
    images = torch.rand((3, *trial.image), generator=source, dtype=torch.float64)
    images[1] *= 0.1
    try:
        output = model(images, reconstruct=False)
        total = evidence(output.logits, output.features).sum(dim=(2, 3)).detach()
    except RuntimeError:
        # The network of somebody else may compute in single precision alone, or not use the map at all.
        return False
    rest = output.logits.detach() - total
    apart = float((rest - rest[:1]).abs().max())
    return apart <= _AFFINE * float(output.logits.detach().abs().max() + total.abs().max())


def _idle(_: HirescamSettings, trial: Trial, masks: Tensor) -> Tensor:
    assert trial.features is not None
    height, width = trial.features.shape[2:]
    return ~wholly_outside(masks, (height, width)).flatten(1).any(dim=1)


HIRESCAM = Objective(
    settings=HirescamSettings,
    switches={"hirescam": Needs(masks=True, surroundings=True, evidence=True)},
    label=lambda _: "HiResCAM",
    several_labels=lambda _: (
        "hirescam centres the evidence over classes that exclude each other, "
        "and these images have several labels"
    ),
    source="Draelos & Carin 2020, arXiv 2011.08891",
    fits=_fits,
    looks_at_numbers=lambda _: True,
    idle=_idle,
    idle_where="no position of the network's last feature map lies wholly outside the mask",
    term=_term,
)
