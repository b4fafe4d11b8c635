"""What AUCs with one side of the masks destroyed say of where a classifier's information comes from.

Only the distance from 0.5 counts: an AUC near 0 carries as much information as one near 1. On a test set
whose correlation is reversed, a model that follows the shortcut scores 0.
"""

from dataclasses import dataclass
from typing import Literal

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
        """Whether it is told from chance, by its interval too where there is one."""
        return self.distance > chance_distance and self.least > 0


def finding_of_sides(
    full: Area, without_background: Area, without_roi: Area, chance_distance: float
) -> Finding:
    """Which side of the masks is read, from what is left with the other one destroyed.

    Args:
        full: of the images as they are.
        without_background: with everything outside the masks destroyed.
        without_roi: with everything inside them destroyed.
        chance_distance: an AUC no further than this from 0.5 counts as chance.
    """
    match without_background.informs(chance_distance), without_roi.informs(chance_distance):
        case True, True:
            return _larger_part(without_background, without_roi)
        case False, True:
            return "reads the background"
        case True, False:
            return "reads the region of interest"
    return "needs both together" if full.informs(chance_distance) else "cannot be told"


def _larger_part(roi: Area, background: Area) -> Finding:
    if _minor(roi, background):
        return "reads mostly the background"
    if _minor(background, roi):
        return "reads mostly the region of interest"
    return "reads both"


def _minor(one: Area, other: Area) -> bool:
    """Whether one is the minor part, and their intervals carry that it is the smaller one."""
    return one.distance < MINOR_PART * other.distance and one.most <= other.least
