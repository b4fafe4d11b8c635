"""Panels in rows, the styles of their series and the legend under them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from activmask.report.charts.chart import WIDTH, Style, series_styles
from activmask.report.findings.series import family, in_order
from activmask.runs.results import Run

_BETWEEN = 6
"""Characters that the mark and the gap of a legend's column take."""

LINE = 76
"""Characters of all columns of a legend, side by side."""


def row_styles(runs: Iterable[Run]) -> dict[str, Style]:
    """A style for every family, where rows are labelled and only methods want telling apart."""
    return series_styles(in_order(family(run) for run in runs))


def panels(count: int, *, columns: int, height: float) -> tuple[Figure, list[Axes], list[Axes]]:
    """A figure of `count` equal panels in rows that share their axes.

    Returns:
        The figure, its panels, and those panels that have none below them.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for unused in axes[count:]:
        unused.remove()
    lowest = axes[max(0, count - columns) : count]
    for panel in lowest:
        panel.xaxis.set_tick_params(labelbottom=True)
    return figure, axes[:count], lowest


def legend_below(figure: Figure, styles: dict[str, Style], *, lines: bool = True) -> None:
    """A legend under the panels that names every style, for which the figure grows."""
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.dash if lines else "none")
        for style in styles.values()
    ]
    columns = legend_columns(list(styles))
    rows = -(-len(handles) // columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.24 * rows + 0.1)
    figure.legend(
        handles,
        list(styles),
        loc="outside lower center",
        ncols=columns,
        handlelength=3.4 if lines else 1.5,
    )


def legend_columns(names: Sequence[str], most: int = 3) -> int:
    """How many columns of a legend fit side by side, at least 1."""
    for columns in range(min(most, len(names)), 1, -1):
        # Column after column, the first ones fuller, as matplotlib fills a legend.
        rows, fuller = divmod(len(names), columns)
        starts = [k * rows + min(k, fuller) for k in range(columns + 1)]
        longest = [max(map(len, names[start:end])) for start, end in pairwise(starts)]
        if sum(longest) + _BETWEEN * columns <= LINE:
            return columns
    return 1
