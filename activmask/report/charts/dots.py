"""Dot plots: a row for every method, its seeds as points, their mean and standard deviation."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from activmask.evaluation.spread import Spread
from activmask.report.charts.chart import INK, WIDTH, Style
from activmask.report.charts.hover import says

LABEL_WIDTH = 22
"""Characters of a row's label before it goes on in a second line."""


def dot_panels(
    rows: Mapping[str, Sequence[str]], headings: Sequence[str], *, row_height: float = 0.28
) -> tuple[Figure, NDArray[Any]]:
    """One panel for every model and heading, with a labelled row for every series.

    Args:
        rows: by model, the labels of its rows from top to bottom.
        headings: over the columns of panels; may have several lines.
        row_height: in inches.

    Returns:
        The figure, and its axes (models, headings); row i is drawn at y = i.
    """
    wrapped = {model: [fill(label, LABEL_WIDTH) for label in labels] for model, labels in rows.items()}
    lines = max(label.count("\n") + 1 for labels in wrapped.values() for label in labels)
    row_height = max(row_height, 0.19 * lines)
    heights = [len(labels) * row_height + 0.1 for labels in wrapped.values()]
    headed = 0.2 * max(heading.count("\n") + 1 for heading in headings)
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.42 * len(rows) + headed + 0.25), layout="constrained")
    grid = figure.subplots(
        len(rows),
        len(headings),
        squeeze=False,
        sharex=True,
        sharey="row",
        gridspec_kw={"height_ratios": heights},
    )
    for axes, (model, labels) in zip(grid[:, 0], wrapped.items(), strict=True):
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.annotate(
            model,
            (0, 1),
            (-7, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            weight="bold",
        )
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=10, weight="normal")
    for axes in grid.flat:
        axes.set_xlim(-0.04, 1.04)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    return figure, grid


def dots(axes: Axes, y: float, values: Sequence[float], spread: Spread, style: Style) -> None:
    """One row: small points for the seeds, a bar of one SD to either side of the mean's marker.

    Each says its value where the pointer rests on it.
    """
    colour = style.colour
    seeds = axes.plot(values, np.full(len(values), y), ".", color=colour, alpha=0.45, markersize=5, zorder=2)
    says(seeds[0], [f"{value:.3f}" for value in values])
    mean = axes.errorbar(
        spread.mean,
        y,
        xerr=spread.sd,
        color=colour,
        marker=style.marker,
        markersize=7,
        markeredgewidth=0,
        elinewidth=1.6,
        zorder=3,
    )
    says(mean.lines[0], [in_words(spread, 3)])


def printed_mark(axes: Axes, y: float, value: float) -> None:
    """An open diamond where a paper printed a value."""
    axes.plot(value, y, "D", markerfacecolor="none", markeredgecolor=INK, markersize=9, zorder=4)


def in_words(spread: Spread, places: int = 2) -> str:
    """The mean with its SD where there is one, for example `0.71 (SD 0.05)`."""
    mean = f"{spread.mean:.{places}f}"
    return mean if spread.sd is None else f"{mean} (SD {spread.sd:.{places}f})"


def marks_explained(*, several: bool) -> str:
    """What the marks of `dots` stand for, with several seeds per row or with one."""
    if not several:
        return "Each mark is one seed."
    return "Small points are seeds, large marks their means, bars one standard deviation to either side."
