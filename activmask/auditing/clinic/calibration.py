"""Whether predicted probabilities mean what they say.

Shapes: N images, B bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activmask.auditing.clinic.curves import Floats, Truth
from activmask.auditing.clinic.score import Score, interval, scored
from activmask.evaluation.bootstrap import Rows

BINS = 10
"""Bins of equal width from 0 to 1 in which predicted and observed are compared."""

_SIMULATIONS = 200


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The images whose predicted probability lies in one bin."""

    low: float
    """Its lower end, which belongs to it."""
    high: float
    """Its upper end, which belongs to the next bin, but for 1."""
    n: int
    """At least one."""
    predicted: float
    """Mean predicted probability."""
    observed: Score
    """How often the class was true; chance is the class's share of all images."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far predicted probabilities lie from what happens."""

    brier: Score
    """Mean squared distance of probability and truth, 0 at best; chance is that of always saying how
    frequent the class is in these very images."""
    ece: Score
    """Expected calibration error over `BINS` bins of equal width, 0 at best; chance is the mean of
    perfectly calibrated predictions of the same probabilities, which is above 0 as images are few."""
    bins: tuple[Bin, ...]
    """The reliability curve: those bins that hold images."""


def calibration(
    probabilities: Floats, positive: Truth, resamples: Sequence[Rows] | None, *, seed: int
) -> Calibration:
    """The calibration of probabilities (N,) for a truth, bool (N,).

    Brier 1950 (doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); ECE after Naeini et al. 2015
    (doi 10.1609/aaai.v29i1.9602), of the probability of the class, not of the top class.
    """
    n, share = len(positive), float(positive.mean())
    distances = np.square(probabilities - positive)
    bins = bin_numbers(probabilities)
    drawn = np.random.default_rng(seed).random((_SIMULATIONS, n)) < probabilities
    by_chance = np.mean([ece(probabilities, one, bins) for one in drawn])
    return Calibration(
        brier=scored(lambda rows: float(distances[rows].mean()), n, resamples, share * (1 - share)),
        ece=scored(
            lambda rows: ece(probabilities[rows], positive[rows], bins[rows]), n, resamples, float(by_chance)
        ),
        bins=_reliability(probabilities, positive, bins, resamples),
    )


def bin_numbers(probabilities: Floats) -> np.ndarray:
    """The bin of each probability (N,), from 0; a probability of 1 lies in the last."""
    return np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)


def ece(probabilities: Floats, positive: Truth, bins: np.ndarray) -> float:
    """The mean over images of the distance between mean probability and share of positives in their bin."""
    gap = np.bincount(bins, weights=probabilities - positive, minlength=BINS)
    return float(np.abs(gap).sum() / len(positive))


def _reliability(
    probabilities: Floats, positive: Truth, bins: np.ndarray, resamples: Sequence[Rows] | None
) -> tuple[Bin, ...]:
    drawn = np.array([_observed(positive[rows], bins[rows]) for rows in resamples or ()]).reshape(-1, BINS)
    values = _observed(positive, bins)
    found = []
    for k in np.unique(bins).tolist():
        low, high = interval(drawn[:, k].tolist())
        score = Score(value=float(values[k]), low=low, high=high, chance=float(positive.mean()))
        found.append(
            Bin(
                low=k / BINS,
                high=(k + 1) / BINS,
                n=int((bins == k).sum()),
                predicted=float(probabilities[bins == k].mean()),
                observed=score,
            )
        )
    return tuple(found)


def _observed(positive: Truth, bins: np.ndarray) -> Floats:
    """The share of positives by bin (B,); NaN where a bin is empty."""
    counts = np.bincount(bins, minlength=BINS)
    hits = np.bincount(bins, weights=positive, minlength=BINS)
    with np.errstate(invalid="ignore"):
        shares: Floats = hits / counts
    return shares
