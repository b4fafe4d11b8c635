"""The control that trains on images whose pixels outside the mask are shuffled."""

from __future__ import annotations

from dataclasses import dataclass

from activmask.ground.settings import setting
from activmask.objectives.objective import Needs, Objective


@dataclass(frozen=True, kw_only=True)
class ClassifyShuffledSettings:
    """Whether training shows shuffled copies alone."""

    classify_shuffled: bool = setting(
        False,
        "Control: train on images whose outside pixels are shuffled.",
        in_name=lambda _: "classify-shuffled",
    )


CLASSIFY_SHUFFLED = Objective(
    settings=ClassifyShuffledSettings,
    switches={"classify_shuffled": Needs(masks=True, shuffled=True)},
    label=lambda _: "Classify Shuffled",
    source="the shuffled copy of paper Eq. 1, by itself",
    hides_surroundings=True,
    show=lambda *shown: shown[2],
)
