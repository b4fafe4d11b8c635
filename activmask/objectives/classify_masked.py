"""The control that trains on images which are blank outside their masks (paper sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.settings import setting
from activmask.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    from torch import Tensor

ClassifyMasked = Literal["off", "train", "all"]
Fill = Literal["black", "grey"]

FILLS: dict[Fill, float] = {"black": 0.0, "grey": 0.5}
"""What lies outside a mask, in [0, 1]."""

_NAMES = {"off": "", "train": "classify-masked", "all": "classify-masked-all"}
_LABELS = {"off": "", "train": "Classify Masked", "all": "Masked Everywhere"}


@dataclass(frozen=True, kw_only=True)
class ClassifyMaskedSettings:
    """Whether and where images are blank outside their masks, and what lies there."""

    classify_masked: ClassifyMasked = setting(
        "off",
        "Control: images that are blank outside the mask, in training only (train) or in validation and test "
        "too (all), the paper's upper bound.",
        in_name=_NAMES.__getitem__,
        bare="train",
    )
    masked_fill: Fill = setting(
        "black",
        "What classify_masked puts outside the mask: black (0) or mid-grey (0.5).",
        in_name=str,
        in_label=str,
    )


def keep_inside(images: Tensor, masks: Tensor, fill: Fill = "black") -> Tensor:
    """Images (B, C, H, W) made blank outside their masks, bool (B, 1, H, W)."""
    return images * masks + FILLS[fill] * ~masks if FILLS[fill] else images * masks


CLASSIFY_MASKED = Objective(
    settings=ClassifyMaskedSettings,
    switches={"classify_masked": Needs(masks=True)},
    label=lambda settings: _LABELS[settings.classify_masked],
    source="paper sec. 4",
    hides_surroundings=True,
    without_effect={
        "masked_fill": (
            lambda settings: settings.classify_masked != "off",
            "while classify_masked is off, when nothing is masked out; choose classify_masked train or all",
        )
    },
    show=lambda settings, images, _, masks: keep_inside(images, masks, settings.masked_fill),
    shows_always=lambda settings: settings.classify_masked == "all",
)
