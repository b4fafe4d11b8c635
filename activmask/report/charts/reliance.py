"""The paper's closing question as a chart: test AUC against attribution inside the mask."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.report.charts.chart import MUTED, WIDTH, Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.hover import says
from activmask.report.charts.panels import legend_below
from activmask.report.findings.measure import Measured
from activmask.report.findings.reliance import RESAMPLES, Correlation, Point, comparable_points, correlation
from activmask.report.findings.series import grouped, in_order, the_data_set
from activmask.report.findings.words import count


def auc_against_attribution(measured: Sequence[Measured], *, seed: int = 0) -> Chart | None:
    """Draw test AUC against attribution inside the mask, a point per network, or nothing without points.

    Args:
        measured: the runs of one data set; seeds without test AUC or masks are left out.
        seed: of the bootstrap.
    """
    points, note = comparable_points(measured)
    if not points:
        return None
    data = the_data_set([one.run for one in measured])
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
        [marks] = axes.plot(
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
        says(marks, [_point_in_words(point) for point in group])
    axes.set_xlabel("share of the attribution inside the mask")
    axes.set_ylabel("test AUC")
    axes.set_ylim(-0.03, 1.03)


def _point_in_words(point: Point) -> str:
    return f"{point.model} {point.method}: test AUC {point.auc:.3f}, inside the mask {point.inside:.3f}"


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
