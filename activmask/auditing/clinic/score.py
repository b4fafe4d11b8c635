"""A score beside its interval over subjects and what knows nothing gets.

Shapes: N images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from activmask.evaluation.bootstrap import Rows
from activmask.evaluation.scores import CONFIDENCE

FEWEST_DRAWS = 0.9
"""The share of draws in which a score must exist for its interval to be told."""

Measure = Callable[[Rows], float]
"""From the rows of some images to their score; NaN where it does not exist."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number, how sure it is, and what it is to be compared with."""

    value: float | None
    """None where it does not exist, as the predictive value of an answer that was never given."""
    low: float | None
    """Lower end of the 95 % interval, percentiles of a bootstrap over subjects; None without one."""
    high: float | None
    """Upper end."""
    chance: float | None
    """What a guess gets that does not know the image."""


def scored(measure: Measure, n: int, resamples: Sequence[Rows] | None, chance: float | None) -> Score:
    """A measure of N images with its interval over draws of them.

    Draws in which the measure does not exist are left out of the interval; where they are more than a
    tenth, there is none.
    """
    value = measure(np.arange(n))
    if np.isnan(value):
        return Score(value=None, low=None, high=None, chance=chance)
    low, high = interval([measure(rows) for rows in resamples or ()])
    return Score(value=float(value), low=low, high=high, chance=chance)


def interval(drawn: Sequence[float]) -> tuple[float | None, float | None]:
    """The ends of the 95 % percentile interval of what draws gave, NaN where there was nothing."""
    values = np.asarray(drawn, dtype=np.float64)
    defined = values[~np.isnan(values)]
    if len(defined) == 0 or len(defined) < FEWEST_DRAWS * len(values):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
