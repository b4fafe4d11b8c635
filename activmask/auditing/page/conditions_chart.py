"""The conditions of an audit as a chart: what is left of the score with one side of the masks destroyed."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.auditing.conditions.conditions import Conditions
from activmask.auditing.conditions.rows import ConditionRow
from activmask.auditing.conditions.versions import CONDITIONS, FULL
from activmask.evaluation.estimate import Estimate
from activmask.report.charts.chart import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    WIDTH,
    Chart,
    Style,
    chance_line,
    drawing,
)
from activmask.report.charts.hover import says

_MASKS = Style(GREEN, "D", "-")

_SIDES = {
    None: Style(GREY, "o", "-"),
    "outside": Style(BLUE, "s", "-"),
    "inside": Style(VERMILLION, "^", "-"),
    "both": _MASKS,
}
"""How conditions look, by the side that they destroy."""

_ROW, _AROUND = 0.34, 1.0
"""Inches of a row, and of what lies above and below all rows."""


def conditions_chart(found: Conditions) -> Chart | None:
    """Draw the AUC of each condition with its interval, beside chance and what the masks alone tell.

    Args:
        found: the conditions; without rows there is nothing to draw.
    """
    if not found.rows:
        return None
    rows = _rows(found)
    with drawing():
        figure = Figure(figsize=(WIDTH, _ROW * len(rows) + _AROUND), layout="constrained")
        axes = figure.subplots()
        chance_line(axes, 0.5, vertical=True)
        for y, (_, estimate, style) in enumerate(rows):
            _mark(axes, y, estimate, style)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xlabel(found.auc_kind)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    return Chart(
        kind="auc-by-condition",
        title="What is left of the score",
        caption=(
            f"{found.auc_kind} of {found.n} images of {found.subjects} subjects with one side of their "
            "masks destroyed; the bars are 95 % intervals over subjects, the dotted line is chance. Grey: "
            "images as they are. Blue squares: the outside is destroyed, so what is left comes from inside "
            "the masks. Red triangles: the inside is destroyed. Green diamonds: the outline in another "
            "image, and the masks' area, area and place, or outlines, without any image."
        ),
        alt="; ".join(f"{name}: {_in_words(estimate)}" for name, estimate, _ in rows) + ".",
        figure=figure,
    )


def _rows(found: Conditions) -> list[tuple[str, Estimate, Style]]:
    destroyed = {one.name: one.destroyed for one in CONDITIONS}
    rows = [(_called(row), row.auc, _SIDES[destroyed[row.condition]]) for row in found.rows]
    if found.baseline is not None:
        rows.append(("masks' area alone", found.baseline.area, _MASKS))
        if found.baseline.place is not None:
            rows.append(("masks' area and place", found.baseline.place, _MASKS))
        if found.baseline.outline is not None:
            rows.append(("masks' outlines", found.baseline.outline, _MASKS))
    return rows


def _called(row: ConditionRow) -> str:
    return "full images" if row.condition == FULL else row.condition


def _mark(axes: Axes, y: int, estimate: Estimate, style: Style) -> None:
    reach = None
    if estimate.low is not None and estimate.high is not None:
        # A percentile interval need not hold its estimate.
        reach = [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]
    drawn = axes.errorbar(
        estimate.value,
        y,
        xerr=reach,
        color=style.colour,
        marker=style.marker,
        markersize=7,
        markeredgewidth=0,
        elinewidth=1.8,
        zorder=3,
    )
    says(drawn.lines[0], [_in_words(estimate)])


def _in_words(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
