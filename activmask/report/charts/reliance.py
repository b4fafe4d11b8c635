"""The paper's closing question: does a network that looks inside the mask generalise better?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from activmask.evaluation.localisation import METRICS
from activmask.report.charts.chart import MUTED, WIDTH, Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.series import drawn, family, grouped, in_order, legend_below, series_names
from activmask.report.findings.measure import Measured
from activmask.report.findings.stems import stem
from activmask.report.findings.words import count
from activmask.runs.identity import test_images
from activmask.runs.names import data_name, model_name

METRIC = next(iter(METRICS))
"""Relevance mass accuracy: the share of the attribution that lies inside the mask."""

RESAMPLES = 2000
FEWEST_POINTS = 3
"""Two networks always correlate by 1 or -1."""

FEWEST_RUNS = 5
"""Below this, resampled runs are too alike for an interval."""

Floats = NDArray[np.float64]


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


def auc_against_attribution(measured: Sequence[Measured], *, seed: int = 0) -> list[Chart]:
    """Draw test AUC against attribution inside the mask, a point a network, one chart per data set.

    Args:
        measured: the runs; seeds without test AUC or masks are left out.
        seed: of the bootstrap.
    """
    charts = []
    for data, group in grouped(measured, lambda one: data_name(one.run.config)).items():
        points, note = comparable_points(group)
        if points:
            charts.append(_chart(data, points, seed, note))
    return charts


def comparable_points(measured: Sequence[Measured]) -> tuple[list[Point], str]:
    """The networks of one data set that were tested on the same images.

    Scores on other images, say unshifted or masked ones, differ for reasons that have nothing to
    do with where a network looks. Of several sets of images, that of the most networks is kept.

    Returns:
        A point a network, and a sentence for captions on the runs that were left out.
    """
    chosen, note = drawn([one for one in measured if network_points([one])], lambda one: one.run)
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
    return [
        Point(
            run=number,
            model=model_name(one.run.config),
            method=family(one.run),
            inside=row.mean,
            chance=row.chance,
            auc=evaluation.scores.auc,
        )
        for number, one in enumerate(measured)
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
        drawn = [
            np.concatenate([runs[i] for i in rng.integers(len(runs), size=len(runs))])
            for _ in range(resamples)
        ]
        found = [value for rows in drawn if (value := _spearman(inside[rows], auc[rows])) is not None]
        low, high = np.quantile(found, [0.025, 0.975])
        interval = (float(low), float(high))
    return Correlation(rho, interval, len(points), len(runs))


def _spearman(x: Floats, y: Floats) -> float | None:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _chart(data: str, points: list[Point], seed: int, note: str) -> Chart:
    rng = np.random.default_rng(seed)
    models = grouped(points, lambda point: point.model)
    found = {"all networks": correlation(points, rng)}
    if len(models) > 1:
        found |= {f"{model} alone": correlation(group, rng) for model, group in models.items()}
    styles = series_styles(in_order(point.method for point in points))
    with drawing():
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        _scatter(figure.subplots(), points, styles)
        legend_below(figure, styles, lines=False)
    words = "; ".join(f"{name} {_in_words(one)}" for name, one in found.items())
    chance = float(np.mean([point.chance for point in points]))
    return Chart(
        kind="attribution-and-auc",
        stem=stem(data),
        title=f"Test AUC against attribution inside the mask, {data}",
        caption=_caption(found, words, seed) + note,
        alt=(
            f"Scatter plot for {data} of {len(points)} networks: test AUC against the share of the "
            f"attribution inside the mask, for which chance is {chance:.2f}. Spearman's correlation: "
            f"{words}. Means by method: {_means(points)}."
        ),
        figure=figure,
    )


def _scatter(axes: Axes, points: list[Point], styles: dict[str, Style]) -> None:
    chance_line(axes, 0.5)
    chance = float(np.mean([point.chance for point in points]))
    chance_line(axes, chance, vertical=True)
    axes.annotate(
        " chance",
        (chance, 1),
        xycoords=("data", "axes fraction"),
        va="bottom",
        ha="center",
        color=MUTED,
        fontsize=9,
    )
    for method, style in styles.items():
        group = [point for point in points if point.method == method]
        axes.plot(
            [point.inside for point in group],
            [point.auc for point in group],
            linestyle="none",
            color=style.colour,
            marker=style.marker,
            markersize=6,
            alpha=0.8,
            markeredgewidth=0,
            label=method,
        )
    axes.set_xlabel("share of the attribution inside the mask")
    axes.set_ylabel("test AUC")
    axes.set_ylim(-0.03, 1.03)


def _in_words(found: Correlation) -> str:
    over = f"{count(found.points, 'network')} of {count(found.runs, 'run')}"
    if found.rho is None:
        return f"undefined ({over})"
    if found.interval is None:
        return f"{found.rho:.2f} ({over}, too few runs for an interval)"
    low, high = found.interval
    return f"{found.rho:.2f} (95 % interval {low:.2f} to {high:.2f}, {over})"


def _means(points: list[Point]) -> str:
    groups = grouped(points, lambda point: f"{point.model} {point.method}")
    return "; ".join(
        f"{name} inside {np.mean([p.inside for p in group]):.2f}, AUC {np.mean([p.auc for p in group]):.2f}"
        for name, group in groups.items()
    )


def _caption(found: dict[str, Correlation], words: str, seed: int) -> str:
    how = f", so the intervals come from resampling whole runs ({RESAMPLES} times, seed {seed})"
    resampled = any(one.interval for one in found.values())
    return (
        "Each point is one trained network at its best validation epoch, on the test images; the share is "
        "relevance mass accuracy of the absolute input gradient in the dilated masks, and dashed lines are "
        f"chance. Spearman's rank correlation: {words}. Networks of one run are not independent"
        f"{how if resampled else ''}; images and seeds that runs have in common tie them too, and a "
        "correlation over chosen methods is no proof of cause."
    )
