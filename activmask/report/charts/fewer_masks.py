"""What is left when only some training images have a mask (paper Figure 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from activmask.evaluation.spread import Spread, spread
from activmask.experiments.grid import read_grid
from activmask.report.charts.chart import WIDTH, Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.dots import in_words
from activmask.report.charts.hover import says
from activmask.report.charts.panels import legend_below
from activmask.report.findings.mask_lines import Line, mask_lines
from activmask.report.findings.series import finished, in_order, the_data_set
from activmask.runs.results import Run
from activmask.runs.selection import selected_by

DODGE = 0.012
"""Share of masks by which lines stand beside each other, so that their error bars can be seen."""


@dataclass(frozen=True)
class Quantity:
    """What one of the two panels shows."""

    name: str
    of: Callable[[Run], Sequence[float]]
    """Its value for every finished seed of a run."""
    places: int
    """After the point, in words."""


TEST_AUC = Quantity("test AUC", lambda run: run.values("test", "auc"), places=2)
BEST_EPOCH = Quantity("best epoch", lambda run: [epoch + 1 for epoch in run.best_epochs()], places=1)


def fewer_masks(runs: Sequence[Run]) -> Chart | None:
    """Draw test AUC and best epoch against the share of masks, or nothing without runs with fewer masks.

    A panel is a quantity, a line a model and method, an error bar one SD (n - 1) over seeds. Lines
    need a run with fewer masks; the run with all masks joins the line it belongs to.

    Args:
        runs: of one data set.
    """
    lines = mask_lines(finished(runs))
    if not lines:
        return None
    data = the_data_set([run for line in lines for run in line.runs])
    with drawing():
        figure = _draw(lines)
    return Chart(
        kind="figure-6",
        title=f"Fewer masks, {data}",
        caption=_caption(lines),
        alt=_alt(data, lines),
        figure=figure,
    )


def _draw(lines: Sequence[Line]) -> Figure:
    styles = series_styles(in_order(line.name for line in lines))
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    scores, epochs = figure.subplots(1, 2, sharex=True)
    for panel, quantity in ((scores, TEST_AUC), (epochs, BEST_EPOCH)):
        _panel(panel, lines, styles, quantity)
        panel.set_ylabel(quantity.name)
        panel.set_xlabel("training images with a mask")
    chance_line(scores, 0.5)
    scores.set_ylim(-0.03, 1.03)
    epochs.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _share_axis(scores, sorted({run.config.view.masks for line in lines for run in line.runs}))
    legend_below(figure, styles)
    return figure


def _panel(axes: Axes, lines: Sequence[Line], styles: dict[str, Style], quantity: Quantity) -> None:
    for i, line in enumerate(lines):
        found = [_spread(run, quantity) for run in line.runs]
        style = styles[line.name]
        drawn = axes.errorbar(
            [run.config.view.masks + DODGE * (i - (len(lines) - 1) / 2) for run in line.runs],
            [one.mean for one in found],
            yerr=[one.sd or 0.0 for one in found],
            color=style.colour,
            marker=style.marker,
            linestyle=style.dash,
            capsize=2,
            label=line.name,
        )
        says(
            drawn.lines[0],
            [
                f"{line.name}, {run.config.view.masks:.0%} of masks: {in_words(one, quantity.places)}"
                for run, one in zip(line.runs, found, strict=True)
            ],
        )


def _share_axis(axes: Axes, shares: list[float]) -> None:
    """The x-axis, which the panels have in common."""
    axes.set_xlim(shares[0] - 0.06, shares[-1] + 0.06)
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _spread(run: Run, quantity: Quantity) -> Spread:
    found = spread(quantity.of(run))
    assert found is not None  # only finished runs are drawn
    return found


def _caption(lines: Sequence[Line]) -> str:
    best = selected_by(run.config for line in lines for run in line.runs)
    most = max(len(run.seeds) for line in lines for run in line.runs)
    bars = f" Points are means over up to {most} seeds, bars one standard deviation to either side."
    return (
        f"Left: AUC on the test images at the best epoch by {best}; the dashed grey line is chance. Right: "
        f"that epoch, counted from 1.{bars if most > 1 else ''} Points of one share are set apart a little, "
        f"to be seen. {read_grid('figure6').note}"
    )


def _alt(data: str, lines: Sequence[Line]) -> str:
    parts = [
        f"Mean {quantity.name}, {line.name}: "
        + ", ".join(
            f"{in_words(_spread(run, quantity), quantity.places)} with {run.config.view.masks:.0%}"
            for run in line.runs
        )
        for quantity in (TEST_AUC, BEST_EPOCH)
        for line in lines
    ]
    return f"Line charts for {data} by the share of training images with a mask. {'. '.join(parts)}."
