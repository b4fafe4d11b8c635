"""What AUCs with one side of the masks destroyed say of where a classifier's information comes from.

Only the distance from 0.5 counts: an AUC near 0 carries as much information as one near 1. On a test set
whose correlation is reversed, a model that follows the shortcut scores 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scipy.special import ndtr, ndtri

from activmask.evaluation.paired import holm
from activmask.training.replicas.resampled_auc import CONFIDENCE

Finding = Literal[
    "reads the region of interest",
    "reads the background",
    "reads both",
    "reads mostly the background",
    "reads mostly the region of interest",
    "reads the region of interest or its size",
    "needs both together",
    "cannot be told",
]

LEAD: dict[Finding, str] = {
    "reads the region of interest": "The model reads the region of interest",
    "reads the background": "The model reads the background",
    "reads both": "The model reads the background as well as the region of interest",
    "reads mostly the background": "The model reads mostly the background, also the region of interest",
    "reads mostly the region of interest": (
        "The model reads mostly the region of interest, also the background"
    ),
    "reads the region of interest or its size": (
        "The model reads the region of interest, or its size or place"
    ),
    "needs both together": "The model needs the region of interest and the background together",
    "cannot be told": "Where the model looks cannot be told",
}
"""How the sentence of each begins."""

FEWEST_JUDGED = 10
"""Subjects below which there is no finding, which is had of three scores: five and five are ranked
perfectly, or perfectly wrong, by chance alone in 1 case of 126."""

MINOR_PART = 0.5
"""Below this ratio of their distances from chance, one side of the mask is the minor one."""


@dataclass(frozen=True)
class Verdict:
    """What an audit found."""

    finding: Finding
    """The model in a few words."""
    sentences: tuple[str, ...]
    """The finding with its numbers, then cautions."""


@dataclass(frozen=True)
class Area:
    """An AUC, and how far it may be trusted."""

    auc: float
    low: float | None = None
    """Lower end of its interval; None where nobody computed one."""
    high: float | None = None
    """Its upper end."""

    @property
    def distance(self) -> float:
        """From 0.5."""
        return abs(self.auc - 0.5)

    @property
    def least(self) -> float:
        """The distance from 0.5 that its interval carries; 0 where that holds 0.5."""
        if self.low is None or self.high is None:
            return self.distance
        return max(self.low - 0.5, 0.5 - self.high, 0.0)

    @property
    def most(self) -> float:
        """The largest distance from 0.5 within its interval."""
        if self.low is None or self.high is None:
            return self.distance
        return max(abs(self.low - 0.5), abs(self.high - 0.5))

    def informs(self, chance_distance: float) -> bool:
        """Whether it alone is told from chance, by its interval too where there is one."""
        return self.distance > chance_distance and self.least > 0

    def p(self, chance_distance: float) -> float:
        """Of its distance from 0.5, two-sided: the larger of what chance and its interval give.

        Both as normal distributions have it whose 95 % are the chance distance and the part of the interval
        that points to 0.5, so that it lies below 0.05 exactly where the AUC `informs`.
        """
        if self.distance == 0:
            return 1.0
        reaches = [chance_distance]
        if self.low is not None and self.high is not None:
            reaches.append(self.auc - self.low if self.auc > 0.5 else self.high - self.auc)
        z = float(ndtri((1 + CONFIDENCE) / 2))
        return max(
            (2 * float(ndtr(-z * self.distance / reach)) for reach in reaches if reach > 0), default=0.0
        )


def too_few(subjects: int) -> Verdict | None:
    """The verdict on images of so few subjects that none is possible; None of enough."""
    if subjects >= FEWEST_JUDGED:
        return None
    few = f"{subjects} subject{'s' * (subjects != 1)}"
    return Verdict(
        "cannot be told",
        (
            f"The images are of {few}, too few to tell anything from chance (at least {FEWEST_JUDGED}), so "
            "the scores stand without a verdict.",
        ),
    )


class ToldSides(NamedTuple):
    """Which of the scores that a verdict rests on are told from chance."""

    full: bool
    without_background: bool
    without_roi: bool


def told_from_chance(areas: Sequence[Area], chance_distance: float) -> list[bool]:
    """Which of several AUCs are told from chance, so that any is by chance in at most 5 % of cases.

    Each by itself would be in 5 %, and a model that reads nothing would be found to read something by one
    of three in 14 %. So p values are adjusted (Holm 1979, doi:10.2307/4615733), which asks nothing of how
    the AUCs go together.

    Args:
        areas: all those of which one alone would be a finding.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
    """
    adjusted = holm([area.p(chance_distance) for area in areas])
    # Of an interval that ends at 0.5, a p value may be rounded to below 0.05.
    return [
        p < 1 - CONFIDENCE and area.informs(chance_distance) for p, area in zip(adjusted, areas, strict=True)
    ]


def finding_of_sides(told: ToldSides, without_background: Area, without_roi: Area) -> Finding:
    """Which side of the masks is read, from what is left with the other one destroyed.

    Args:
        told: which are told from chance.
        without_background: with everything outside the masks destroyed.
        without_roi: with everything inside them destroyed.
    """
    match told.without_background, told.without_roi:
        case True, True:
            return _larger_part(without_background, without_roi)
        case False, True:
            return "reads the background"
        case True, False:
            return "reads the region of interest"
    return "needs both together" if told.full else "cannot be told"


def _larger_part(roi: Area, background: Area) -> Finding:
    if _minor(roi, background):
        return "reads mostly the background"
    if _minor(background, roi):
        return "reads mostly the region of interest"
    return "reads both"


def _minor(one: Area, other: Area) -> bool:
    """Whether one is the minor part, and their intervals carry that it is the smaller one."""
    return one.distance < MINOR_PART * other.distance and one.most <= other.least
