"""How runs are named and grouped in charts."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from activmask.report.charts.chart import METHOD_STYLE, WIDTH, Style, series_styles
from activmask.runs.identity import alike
from activmask.runs.names import method_name, model_name
from activmask.runs.results import Run, saw_same_images, told_apart

Item = TypeVar("Item")

LONG_NAME = 34
"""Characters; a legend with a longer name has one column."""


def grouped(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    """The items by their key, keys and items in the order they come."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def finished(runs: Sequence[Run]) -> list[Run]:
    """The runs with at least one finished seed."""
    return [run for run in runs if run.seeds]


def drawn(items: Sequence[Item], run_of: Callable[[Item], Run]) -> tuple[list[Item], str]:
    """The items without those whose experiment and seeds another run has as well.

    Returns:
        What is left, model by model and in the order of the paper's methods, and a sentence for
        captions, empty where nothing was left out.
    """
    kept: list[Item] = []
    for item in sorted(items, key=lambda one: -len(run_of(one).seeds)):
        if not any(_repeats(run_of(item), run_of(other)) for other in kept):
            kept.append(item)
    dropped = len(items) - len(kept)
    repeats = "1 run that repeats another" if dropped == 1 else f"{dropped} runs that repeat others"
    note = f" Left out: {repeats}." if dropped else ""
    left = [item for item in items if any(item is one for one in kept)]
    methods = in_order(family(run_of(item)) for item in left)
    models = grouped(left, lambda item: model_name(run_of(item).config))
    return [
        item
        for group in models.values()
        for item in sorted(group, key=lambda one: methods.index(family(run_of(one))))
    ], note


def _repeats(run: Run, other: Run) -> bool:
    return (
        alike(run.config, other.config)
        and set(run.seeds) <= set(other.seeds)
        and all(saw_same_images(run, other, seed) for seed in run.seeds)
    )


def series_names(runs: Sequence[Run]) -> list[str]:
    """For each run, its method and whatever tells it from runs of the same names, see `told_apart`."""
    return [
        f"{method_name(run.config)} ({detail})" if detail else method_name(run.config)
        for run, detail in zip(runs, told_apart(runs), strict=True)
    ]


def row_styles(runs: Iterable[Run]) -> dict[str, Style]:
    """A style for every family, where rows are labelled and only methods want telling apart."""
    return series_styles(in_order(family(run) for run in runs))


def family(run: Run) -> str:
    """The method of a run without what varies it, for example `Actdiff` of `Actdiff, layer`."""
    return method_name(run.config).split(", ", maxsplit=1)[0]


def in_order(names: Iterable[str]) -> list[str]:
    """Different names, those of the paper's methods first and in its order."""
    known = list(METHOD_STYLE)
    return sorted(dict.fromkeys(names), key=lambda name: known.index(name) if name in known else len(known))


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
    columns = 1 if max(map(len, styles), default=0) > LONG_NAME else 2
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
