"""A number with its uncertainty over subjects, and what two numbers of the same images differ by.

Shapes: N images, R draws of the bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from activmask.evaluation.bootstrap import subject_resamples
from activmask.evaluation.resampled import Counts, Floats, counted, ends
from activmask.evaluation.sides import Area

_MOST_KEPT = 10_000
"""Images; the draws of so many take 20 MB."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its uncertainty."""

    value: float
    low: float | None
    """Lower end of the 95 % interval, percentiles of a bootstrap over subjects; None below two."""
    high: float | None
    """Its upper end."""

    @property
    def told(self) -> bool:
        """Whether its interval leaves 0 out: as a change, it is one."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def area(self) -> Area:
        """The same, as an AUC that verdicts weigh."""
        return Area(self.value, self.low, self.high)


@dataclass(frozen=True)
class Drawn:
    """One score, and the same in each draw."""

    value: float
    resampled: Floats | None
    """(R,); None without a bootstrap."""

    def estimate(self) -> Estimate:
        """With its interval."""
        low, high = (None, None) if self.resampled is None else ends(self.resampled, self.value)
        return Estimate(value=self.value, low=low, high=high)

    def change(self, other: "Drawn") -> Estimate:
        """This minus the other, draw by draw."""
        pairs = self.resampled, other.resampled
        paired = None if pairs[0] is None or pairs[1] is None else pairs[0] - pairs[1]
        return Drawn(self.value - other.value, paired).estimate()

    def further(self, other: "Drawn") -> Estimate:
        """How much further than another AUC this one lies from 0.5, each to the side that it is on.

        Sides are those of the scores themselves, not of each draw: a distance that is folded at 0.5 draw by
        draw never comes near 0.
        """
        return self.on_its_side().change(other.on_its_side())

    def on_its_side(self) -> "Drawn":
        """Its distance from 0.5, counted positive to the side that the score itself lies on."""
        sign = 1.0 if self.value >= 0.5 else -1.0
        resampled = None if self.resampled is None else sign * (self.resampled - 0.5)
        return Drawn(sign * (self.value - 0.5), resampled)


def counts_over_subjects(
    labels: NDArray[np.int64], subjects: Sequence[str] | NDArray[np.object_], *, seed: int
) -> Counts | None:
    """How often each draw of subjects holds each image, uint16 (R, N).

    Args:
        labels: int64 (N,).
        subjects: (N,), whom each image shows.
        seed: of the draws; the same of the same images gives the same draws.

    Returns:
        None where a class is of one subject alone: no draw would say how far others of it differ.
    """
    asked = tuple(labels.tolist()), tuple(subjects), seed
    return _kept_counts(*asked) if len(labels) <= _MOST_KEPT else _counts(*asked)


def _counts(labels: tuple[int, ...], subjects: tuple[str, ...], seed: int) -> Counts | None:
    truth, names = np.array(labels), np.array(subjects, dtype=object)
    if min(len(set(names[truth == k])) for k in np.unique(truth)) < 2:
        return None
    resamples = subject_resamples(truth, names, seed=seed)
    if resamples is None:
        return None
    found = counted(resamples, len(truth))
    found.flags.writeable = False
    return found


_kept_counts = lru_cache(maxsize=2)(_counts)
"""Of the images of an evaluation and of its audit, for the next network that is asked about the same."""
