"""Panels in rows, the styles of their series and the legend under them."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from activmask.report.charts.chart import WIDTH, Style, series_styles
from activmask.report.findings.series import family, in_order
from activmask.runs.results import Run

_MOST_COLUMNS = 3


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
    for columns in range(_MOST_COLUMNS, 0, -1):
        legend = figure.legend(
            handles,
            list(styles),
            loc="outside lower center",
            ncols=columns,
            handlelength=3.4 if lines else 1.5,
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    rows = -(-len(handles) // columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.24 * rows + 0.1)
