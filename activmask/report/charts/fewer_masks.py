"""What is left when only some training images have a mask (paper Figure 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from activmask.evaluation.spread import Spread, spread
from activmask.experiments.grid import read_grid
from activmask.report.charts.chart import Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.dots import in_words
from activmask.report.charts.series import finished, grouped, in_order, legend_below, panels, series_names
from activmask.runs.description import changed
from activmask.runs.identity import alike
from activmask.runs.names import data_name, model_name
from activmask.runs.results import Run, saw_same_images
from activmask.runs.selection import selected_by

DODGE = 0.012
"""Share of masks by which lines stand beside each other, so that their error bars can be seen."""


@dataclass(frozen=True)
class Line:
    """One network and method trained with several shares of the masks."""

    data: str
    name: str
    runs: tuple[Run, ...]
    """By growing share of masks."""


Measure = Callable[[Run], Sequence[float]]


def fewer_masks(runs: Sequence[Run]) -> list[Chart]:
    """Draw test AUC and best epoch against the share of masks: two charts, or none without such runs.

    A panel is a data set, a line a model and method, an error bar one SD (n - 1) over seeds. Lines
    need a run with fewer masks; the run with all masks joins the line it belongs to.
    """
    lines = mask_lines(finished(runs))
    if not lines:
        return []
    return [
        _chart(lines, "figure-6a-test-auc", "test AUC", lambda run: run.values("test", "auc"), places=2),
        _chart(lines, "figure-6b-best-epoch", "best epoch", Run.best_epochs, places=1),
    ]


def mask_lines(runs: Sequence[Run]) -> list[Line]:
    """The runs that differ in their share of masks alone, those lines with a share below 1."""
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if _on_one_line(group[0], run):
                group.append(run)
                break
        else:
            groups.append([run])
    groups = [group for group in groups if any(run.config.view.masks < 1 for run in group)]
    names = series_names([_with_all_masks(group[0]) for group in groups])
    return [_line(name, group) for name, group in zip(names, groups, strict=True)]


def _on_one_line(one: Run, other: Run) -> bool:
    """Whether two runs differ in their share of masks at most, and saw the same images."""
    return alike(_with_all_masks(one).config, _with_all_masks(other).config) and all(
        saw_same_images(one, other, seed) for seed in one.seeds if seed in other.metrics
    )


def _with_all_masks(run: Run) -> Run:
    return replace(run, config=changed(run.config, masks=1.0))


def _line(name: str, group: list[Run]) -> Line:
    """A share that was run in several folders is drawn from the one with the most seeds."""
    best: dict[float, Run] = {}
    for run in group:
        share = run.config.view.masks
        if share not in best or len(run.seeds) > len(best[share].seeds):
            best[share] = run
    config = group[0].config
    return Line(
        data_name(config), f"{model_name(config)} {name}", tuple(best[share] for share in sorted(best))
    )


def _chart(lines: list[Line], kind: str, axis: str, measure: Measure, *, places: int) -> Chart:
    data_sets = grouped(lines, lambda line: line.data)
    styles = series_styles(in_order(line.name for line in lines))
    with drawing():
        figure, axes, lowest = panels(len(data_sets), columns=2, height=2.5)
        for panel, (data, group) in zip(axes, data_sets.items(), strict=True):
            panel.set_title(data)
            _panel(panel, group, styles, measure)
            if axis == "test AUC":
                chance_line(panel, 0.5)
                panel.set_ylim(-0.03, 1.03)
            else:
                panel.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _share_axis(axes[0], sorted({run.config.view.masks for line in lines for run in line.runs}))
        for panel in axes[::2]:
            panel.set_ylabel(axis)
        for panel in lowest:
            panel.set_xlabel("training images with a mask")
        legend_below(figure, styles)
    return Chart(
        kind=kind,
        title=f"{axis[0].upper()}{axis[1:]} against the share of masks",
        caption=_caption(lines, axis),
        alt=_alt(data_sets, axis, measure, places),
        figure=figure,
    )


def _panel(axes: Axes, lines: list[Line], styles: dict[str, Style], measure: Measure) -> None:
    for i, line in enumerate(lines):
        found = [_spread(run, measure) for run in line.runs]
        style = styles[line.name]
        axes.errorbar(
            [run.config.view.masks + DODGE * (i - (len(lines) - 1) / 2) for run in line.runs],
            [one.mean for one in found],
            yerr=[one.sd or 0.0 for one in found],
            color=style.colour,
            marker=style.marker,
            linestyle=style.dash,
            capsize=2,
            label=line.name,
        )


def _share_axis(axes: Axes, shares: list[float]) -> None:
    """The x-axis, which the panels have in common."""
    axes.set_xlim(shares[0] - 0.06, shares[-1] + 0.06)
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _spread(run: Run, measure: Measure) -> Spread:
    found = spread(measure(run))
    assert found is not None  # only finished runs are drawn
    return found


def _caption(lines: list[Line], axis: str) -> str:
    best = selected_by(run.config.training.select for line in lines for run in line.runs)
    what = {
        "test AUC": f"AUC on the test images at the best epoch by {best}; the dashed grey line is chance",
        "best epoch": f"The best epoch by {best}, counted from 0",
    }[axis]
    most = max(len(run.seeds) for line in lines for run in line.runs)
    bars = f" Points are means over up to {most} seeds, bars one standard deviation to either side."
    apart = "Points of one share are set apart a little, to be seen."
    return f"{what}.{bars if most > 1 else ''} {apart} {read_grid('figure6').note}"


def _alt(data_sets: dict[str, list[Line]], axis: str, measure: Measure, places: int) -> str:
    parts = [
        f"{data}, {line.name}: "
        + ", ".join(
            f"{in_words(_spread(run, measure), places)} with {run.config.view.masks:.0%}" for run in line.runs
        )
        for data, group in data_sets.items()
        for line in group
    ]
    return f"Line chart of the mean {axis} by the share of training images with a mask. {'. '.join(parts)}."
