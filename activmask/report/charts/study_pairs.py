"""What the place of the masks does: differences of pairs of networks with their intervals."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.evaluation.paired import Difference
from activmask.ground.shown import shown
from activmask.report.charts.chart import INK, WIDTH, Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.hover import says
from activmask.report.findings.networks import CONTROLS
from activmask.report.findings.series import in_order
from activmask.report.findings.study import Study
from activmask.report.findings.where import Contrast
from activmask.report.findings.words import count, interval, signed

_ROW = 0.27
"""Of a row, in inches."""

_OVERALL = Style(INK, "D", "-")

_COLUMNS: dict[str, Callable[[Contrast], Difference]] = {
    "share of the attribution\ninside the mask": lambda one: one.mass,
    "test AUC": lambda one: one.score,
}


def study_pairs(found: Study) -> Chart | None:
    """Draw the masks of the data minus each control's, by data set and method; None without pairs."""
    rows = _rows(found)
    if not rows:
        return None
    styles = series_styles(in_order(one.method for one in found.observed.networks))
    with drawing():
        figure = Figure(figsize=(WIDTH, _ROW * len(rows) + 1.1), layout="constrained")
        axes = figure.subplots(1, len(_COLUMNS), sharey=True)
        for panel, (title, difference) in zip(axes, _COLUMNS.items(), strict=True):
            chance_line(panel, 0.0, vertical=True)
            for y, (_, one) in enumerate(rows):
                _draw(panel, y, difference(one), styles.get(one.method, _OVERALL))
            panel.set_title(title, fontsize=10, weight="normal")
            panel.grid(visible=False, axis="y")
            panel.tick_params(axis="y", length=0)
        axes[0].set_yticks(range(len(rows)), [shown(name) for name, _ in rows], fontsize=9.5)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        for panel, one in ((tick, row[1]) for tick, row in zip(axes[0].get_yticklabels(), rows, strict=True)):
            panel.set_weight("normal" if one.data else "bold")
        figure.supxlabel("masks of the data minus control", fontsize=10.5)
    return Chart(
        kind="pairs-of-masks",
        title="What is made by where the masks lie",
        caption=_caption(found),
        alt=_alt(rows),
        figure=figure,
    )


def _rows(found: Study) -> list[tuple[str, Contrast]]:
    """Each control's total, then its data sets and methods."""
    rows = []
    for total in found.contrasts.overall:
        control = CONTROLS[total.control]
        rows.append((control, total))
        own = [one for one in found.contrasts.single if one.control == total.control]
        rows += [(f"{one.data}, {one.method}", one) for one in sorted(own, key=lambda one: one.data)]
    return rows


def _draw(axes: Axes, y: float, one: Difference, style: Style) -> None:
    if one.low is not None and one.high is not None:
        axes.hlines(y, one.low, one.high, color=style.colour, linewidth=1.6, zorder=2)
    [mark] = axes.plot(one.mean, y, color=style.colour, marker=style.marker, markersize=6.5, zorder=3)
    says(mark, [_in_words(one)])


def _in_words(one: Difference) -> str:
    between = interval(one.low, one.high)
    return f"{signed(one.mean)} ({between or 'no interval'}, {count(one.n, 'seed')})"


def _caption(found: Study) -> str:
    pairs = sum(one.pairs for one in found.contrasts.overall)
    return (
        f"{count(pairs, 'pair')} of networks that differ in one thing: whether training looked at the masks "
        "of the data or at masks that tell nothing. A seed of a data set is one observation, the mean of its "
        "pairs over weights (of the totals over methods too); bars are Student's 95 % intervals of the mean, "
        "none where all seeds differ alike or there is one. Right of the dotted line the masks of the data "
        "have more."
    )


def _alt(rows: Sequence[tuple[str, Contrast]]) -> str:
    told = "; ".join(
        f"{name}: inside {_in_words(one.mass)}, test AUC {_in_words(one.score)}" for name, one in rows
    )
    return f"Differences with intervals. {told}."
