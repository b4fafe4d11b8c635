"""Validation AUC epoch by epoch (paper Figure 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from activmask.report.charts.chart import MUTED, Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.hover import says
from activmask.report.charts.panels import legend_below, panels
from activmask.report.findings.series import (
    family,
    finished,
    grouped,
    in_order,
    series_names,
    the_data_set,
    with_all_masks,
    without_repeats,
)
from activmask.runs.folder import SCORE
from activmask.runs.names import model_name
from activmask.runs.results import Run

FEW_EPOCHS = 20
"""Up to here each epoch gets its marker; more would hide the line."""

MOST_NAMED = 14
"""Of more runs, each is a faint line and methods alone are named: there are no more looks to tell apart."""


@dataclass(frozen=True)
class Curve:
    """The valid AUC of a run."""

    name: str
    model: str
    scores: NDArray[np.float64]
    """(seeds, epochs), up to the last epoch that every seed reached."""
    family: str = ""
    """The method without what varies it."""


def valid_curves(runs: Sequence[Run]) -> Chart | None:
    """Draw the validation AUC of every epoch, one panel per model, or nothing without a finished run.

    A line is the mean over a run's finished seeds, its band one SD (n - 1) to either side. Of more runs
    than can be told apart each is a faint line, and the mean over those of a method stands before them.
    Runs with fewer masks are left to their own figure wherever others are there to draw.

    Args:
        runs: of one data set.

    Raises:
        CheckpointError: a history is missing or damaged.
    """
    ended = finished(runs)
    if not ended:
        return None
    data = the_data_set(ended)
    chosen, note = without_repeats(with_all_masks(ended), lambda run: run)
    curves = [_curve(name, run) for name, run in zip(series_names(chosen), chosen, strict=True)]
    models = grouped(curves, lambda curve: curve.model)
    many = len(dict.fromkeys(curve.name for curve in curves)) > MOST_NAMED
    styles = series_styles(in_order(curve.family if many else curve.name for curve in curves))
    with drawing():
        figure, axes, lowest = panels(len(models), columns=2, height=2.5)
        for panel, (model, group) in zip(axes, models.items(), strict=True):
            panel.set_title(model)
            chance_line(panel, 0.5)
            if many:
                _faint(panel, group)
            for curve in _by_family(group) if many else group:
                _line(panel, curve, styles[curve.name], band=not many)
            panel.set_ylim(-0.03, 1.03)
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for panel in axes[::2]:
            panel.set_ylabel("valid AUC")
        for panel in lowest:
            panel.set_xlabel("epoch")
        legend_below(figure, styles)
    return Chart(
        kind="figure-7",
        title=f"Valid AUC per epoch, {data}",
        caption=(_caption_of_many(curves) if many else _caption(curves)) + note,
        alt=_alt(data, models),
        figure=figure,
    )


def _curve(name: str, run: Run) -> Curve:
    rows = [[row[SCORE] for row in history] for history in run.histories().values()]
    shared = min(map(len, rows))
    return Curve(name, model_name(run.config), np.array([values[:shared] for values in rows]), family(run))


def _by_family(curves: list[Curve]) -> list[Curve]:
    """Of each method the mean of every run, in place of its seeds, up to the last epoch that all reached."""
    found = []
    for name, group in grouped(curves, lambda curve: curve.family).items():
        shared = min(curve.scores.shape[1] for curve in group)
        means = np.array([curve.scores[:, :shared].mean(axis=0) for curve in group])
        found.append(Curve(name, group[0].model, means, name))
    return found


def _faint(axes: Axes, curves: list[Curve]) -> None:
    for curve in curves:
        mean = curve.scores.mean(axis=0)
        [line] = axes.plot(
            np.arange(1, len(mean) + 1), mean, color=MUTED, linewidth=0.7, alpha=0.45, zorder=1.5
        )
        says(line, _in_words(curve))


def _line(axes: Axes, curve: Curve, style: Style, *, band: bool) -> None:
    mean = curve.scores.mean(axis=0)
    epochs = np.arange(1, len(mean) + 1)
    [line] = axes.plot(
        epochs,
        mean,
        color=style.colour,
        linestyle=style.dash,
        marker=style.marker if len(epochs) <= FEW_EPOCHS else None,
        markersize=5,
        linewidth=1.7,
        label=curve.name,
    )
    says(line, _in_words(curve))
    if band and len(curve.scores) > 1:
        sd = curve.scores.std(axis=0, ddof=1)
        axes.fill_between(epochs, mean - sd, mean + sd, color=style.colour, alpha=0.13, linewidth=0)


def _caption_of_many(curves: list[Curve]) -> str:
    return (
        "AUC on the validation images after each epoch, counted from 1. Each faint line is the mean over the "
        f"seeds of one of {len(curves)} runs, more than can be told apart, and says its name where the "
        "pointer rests on it; each named line is the mean over the runs of a method, whatever its weight and "
        "its variant. The dashed grey line is chance."
    )


def _caption(curves: list[Curve]) -> str:
    counts = sorted({len(curve.scores) for curve in curves})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    means = f"Lines are means over seeds ({seeds} per run)" if counts[-1] > 1 else "Lines are single seeds"
    band = "; the band is one standard deviation over seeds to either side" if counts[-1] > 1 else ""
    return (
        f"AUC on the validation images after each epoch, counted from 1. {means}{band}. The dashed grey "
        "line is chance."
    )


def _alt(data: str, models: dict[str, list[Curve]]) -> str:
    parts = [f"{model}: " + "; ".join(map(_in_words, curves)) for model, curves in models.items()]
    return (
        f"Line chart for {data}: mean valid AUC per epoch, its highest value and the value after the last "
        f"epoch. {'. '.join(parts)}. Chance is 0.50."
    )


def _in_words(curve: Curve) -> str:
    mean = curve.scores.mean(axis=0)
    return f"{curve.name} highest {mean.max():.2f} in epoch {int(mean.argmax()) + 1}, last {mean[-1]:.2f}"
