"""The paper's closing question: does a network that looks inside the mask generalise better?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.evaluation.localisation import METRICS
from activmask.evaluation.resampled import counted
from activmask.report.findings.measure import Measured
from activmask.report.findings.series import family, grouped, series_names, without_repeats
from activmask.runs.identity import test_images
from activmask.runs.names import model_name

METRIC = next(iter(METRICS))
"""Relevance mass accuracy: the share of the attribution that lies inside the mask."""

RESAMPLES = 2000
FEWEST_POINTS = 3
"""Two networks always correlate by 1 or -1."""

FEWEST_RUNS = 5
"""Below this, resampled runs are too alike for an interval."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Point:
    """One network: a seed of a run."""

    run: int
    """Number of its run."""
    model: str
    method: str
    inside: float
    """Relevance mass accuracy, in [0, 1]."""
    chance: float
    """What a random map has inside."""
    auc: float
    """On the test images, in [0, 1]."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of some networks' attribution inside the mask and test AUC."""

    rho: float | None
    """In [-1, 1]; None for fewer than `FEWEST_POINTS` networks, or where one of the two does not vary."""
    interval: tuple[float, float] | None
    """95 %, over resampled runs; None without rho or with fewer than `FEWEST_RUNS` runs."""
    points: int
    runs: int


def comparable_points(measured: Sequence[Measured]) -> tuple[list[Point], str]:
    """The networks of one data set that were tested on the same images.

    Scores on other images, say unshifted or masked ones, differ for reasons that have nothing to
    do with where a network looks. Of several sets of images, that of the most networks is kept.

    Returns:
        A point per network, and a sentence for captions on the runs that were left out.
    """
    chosen, note = without_repeats([one for one in measured if network_points([one])], lambda one: one.run)
    tested = grouped(chosen, lambda one: repr(test_images(one.run.config)))
    if not tested:
        return [], note
    kept = max(tested.values(), key=lambda group: len(network_points(group)))
    others = [one.run for group in tested.values() if group is not kept for one in group]
    if others:
        names = zip(others, series_names(others), strict=True)
        listed = "; ".join(f"{model_name(run.config)} {name}" for run, name in names)
        note += f" Left out, as they were tested on other images: {listed}."
    return network_points(kept), note


def network_points(measured: Sequence[Measured]) -> list[Point]:
    """What was measured of every network, by run and seed."""
    named = [(one, model_name(one.run.config), family(one.run)) for one in measured]
    return [
        Point(
            run=number,
            model=model,
            method=method,
            inside=row.mean,
            chance=row.chance,
            auc=evaluation.scores.auc,
        )
        for number, (one, model, method) in enumerate(named)
        for evaluation in one.evaluations.values()
        for row in evaluation.localisation.rows
        if row.metric == METRIC and evaluation.scores.auc is not None
    ]


def correlation(points: Sequence[Point], rng: np.random.Generator, resamples: int = RESAMPLES) -> Correlation:
    """Spearman's correlation over networks, with a 95 % percentile interval of a cluster bootstrap.

    The networks of one run share their method and are no independent observations, so whole runs
    are drawn with replacement (Davison and Hinkley 1997, sec. 3.8,
    doi 10.1017/CBO9780511802843). Samples in which one of the two
    does not vary have no correlation and do not count.
    """
    inside, auc = np.array([one.inside for one in points]), np.array([one.auc for one in points])
    runs = [
        np.flatnonzero(np.array([one.run for one in points]) == run)
        for run in sorted({p.run for p in points})
    ]
    rho = _spearman(inside, auc) if len(points) >= FEWEST_POINTS else None
    interval = None
    if rho is not None and len(runs) >= FEWEST_RUNS:
        samples = [
            np.concatenate([runs[i] for i in rng.integers(len(runs), size=len(runs))])
            for _ in range(resamples)
        ]
        low, high = np.quantile(_spearmans(inside, auc, samples), [0.025, 0.975])
        interval = (float(low), float(high))
    return Correlation(rho, interval, len(points), len(runs))


def _spearman(x: Floats, y: Floats) -> float | None:
    found = _spearmans(x, y, [np.arange(len(x))])
    return found[0] if found else None


def _spearmans(x: Floats, y: Floats, samples: Sequence[Rows]) -> list[float]:
    """Of samples of N networks, of each in which both x and y (N,) vary."""
    counts = counted(samples, len(x)).astype(np.float64)
    one, two = (_rank_deviations(values, counts) for values in (x, y))
    scales = np.sqrt((counts * one**2).sum(axis=1) * (counts * two**2).sum(axis=1))
    vary = scales > 0
    found: list[float] = ((counts * one * two).sum(axis=1)[vary] / scales[vary]).clip(-1, 1).tolist()
    return found


def _rank_deviations(values: Floats, counts: Floats) -> Floats:
    """Ranks less their mean (S, N) of values (N,) in samples that hold each so often (S, N); ties share one.

    Ranks are multiples of a half, so that nothing but 0 is left of a sample of equal values.
    """
    levels, level = np.unique(values, return_inverse=True)
    of_level = counts @ (level[:, None] == np.arange(len(levels)))
    ranks = (of_level.cumsum(axis=1) - (of_level - 1) / 2)[:, level]
    deviations: Floats = ranks - (counts * ranks).sum(axis=1, keepdims=True) / counts.sum(
        axis=1, keepdims=True
    )
    return deviations
