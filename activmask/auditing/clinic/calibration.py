"""Whether predicted probabilities mean what they say.

Shapes: N images, B bins, R draws of a bootstrap, counts (R, N): how often each draw holds each image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from activmask.auditing.clinic.score import Score, Truth, scored, shares_of
from activmask.evaluation.curves import BINS, bin_numbers
from activmask.evaluation.resampled import Counts, Floats, resampled_mean

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


def calibration(probabilities: Floats, positive: Truth, counts: Counts | None, *, seed: int) -> Calibration:
    """The calibration of probabilities (N,) for a truth, bool (N,).

    Brier 1950 (doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); ECE after Naeini et al. 2015
    (doi 10.1609/aaai.v29i1.9602), of the probability of the class, not of the top class.
    """
    share, bins, once = (
        float(positive.mean()),
        bin_numbers(probabilities),
        np.ones((1, len(positive)), np.uint16),
    )
    distances = np.square(probabilities - positive)
    rng = np.random.default_rng(seed)
    by_chance = np.mean(
        [ece(probabilities, rng.random(len(bins)) < probabilities, bins, once) for _ in range(_SIMULATIONS)]
    )
    return Calibration(
        brier=scored(
            float(brier_score_loss(positive, probabilities, pos_label=True)),
            None if counts is None else resampled_mean(distances, counts),
            share * (1 - share),
        ),
        ece=scored(
            float(ece(probabilities, positive, bins, once)[0]),
            None if counts is None else ece(probabilities, positive, bins, counts),
            float(by_chance),
        ),
        bins=tuple(
            Bin(
                low=k / BINS,
                high=(k + 1) / BINS,
                n=int((bins == k).sum()),
                predicted=float(probabilities[bins == k].mean()),
                observed=scored(
                    float(positive[bins == k].mean()),
                    None if counts is None else shares_of(positive, bins == k, counts),
                    share,
                ),
            )
            for k in np.unique(bins).tolist()
        ),
    )


def ece(probabilities: Floats, positive: Truth, bins: NDArray[np.int64], counts: Counts) -> Floats:
    """The expected calibration error of each draw, (R,).

    It is the mean over images of how far mean probability and share of positives in their bin lie apart.
    """
    gaps = (probabilities - positive)[:, None] * (bins[:, None] == np.arange(BINS))
    found: Floats = np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1)
    return found
