"""A score beside its interval over subjects and what knows nothing gets.

Shapes: N images, R draws of a bootstrap over subjects, counts uint16 (R, N): how often each draw holds each
image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.evaluation.bootstrap import subject_resamples
from activmask.evaluation.resampled import Counts, Floats, counted, ends

FEWEST_DRAWS = 0.9
"""The share of draws in which a score must exist for its interval to be told."""

Truth = NDArray[np.bool_]


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


def draws(
    labels: NDArray[np.int64], subjects: Sequence[str] | NDArray[np.object_], seed: int
) -> Counts | None:
    """Counts of draws of subjects, stratified by class; None of fewer than two subjects."""
    resamples = subject_resamples(labels, subjects, seed=seed)
    return None if resamples is None else counted(resamples, len(labels))


def scored(value: float, resampled: Floats | None, chance: float | None) -> Score:
    """A value with the interval of its draws, (R,), NaN where it does not exist.

    Draws in which it does not exist are left out; where they are more than a tenth, there is no interval.
    Percentiles that would miss the value are widened to hold it (see `ends`).
    """
    if np.isnan(value):
        return Score(value=None, low=None, high=None, chance=chance)
    defined = np.array([]) if resampled is None else resampled[~np.isnan(resampled)]
    if resampled is None or len(defined) < max(1, FEWEST_DRAWS * len(resampled)):
        return Score(value=float(value), low=None, high=None, chance=chance)
    low, high = ends(defined, float(value))
    return Score(value=float(value), low=low, high=high, chance=chance)


def share(hits: Truth, among: Truth, counts: Counts | None, chance: float | None) -> Score:
    """The share of hits, bool (N,), among some of the images, bool (N,)."""
    return scored(
        shares_of(hits, among, np.ones((1, len(hits)), np.uint16))[0],
        None if counts is None else shares_of(hits, among, counts),
        chance,
    )


def shares_of(hits: Truth, among: Truth, counts: Counts) -> Floats:
    """The share (R,) in each draw; NaN where a draw holds none of these images."""
    with np.errstate(invalid="ignore"):
        found: Floats = (counts @ (hits & among).astype(np.float64)) / (counts @ among.astype(np.float64))
    return found
