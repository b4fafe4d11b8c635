"""At which share of a planted shortcut a pipeline takes the bait."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from activmask.evaluation.removal import Change
from activmask.evaluation.spread import Spread, spread
from activmask.ground.shown import shown
from activmask.report.charts.chart import WIDTH, Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.hover import says
from activmask.report.charts.panels import legend_below
from activmask.report.findings.dose import Family, Line, Point
from activmask.report.findings.words import count, signed

HEIGHT = 1.75
"""Of a panel, in inches."""

DODGE = 0.012
"""Of the range of shares, by which lines stand beside each other."""


@dataclass(frozen=True)
class Quantity:
    """What one of the panels shows."""

    title: str
    what: str
    """`AUC` or `probability`."""
    of: Callable[[Change], float]
    nothing: float
    """Its value where nothing is read."""
    change: bool
    """Whether it is a difference, which has an interval of its own."""


QUANTITIES = (
    Quantity("probability,\nplanted - twins", "probability", lambda row: row.change, 0.0, change=True),
    Quantity("test AUC,\nplanted - twins", "AUC", lambda row: row.change, 0.0, change=True),
    Quantity("test AUC\nof the twins", "AUC", lambda row: row.twins, 0.5, change=False),
)


def mean_of(point: Point, quantity: Quantity) -> Spread | None:
    """Mean and SD of a quantity over the networks of a point."""
    return spread([quantity.of(row) for row in point.changes(quantity.what)])


def reach(point: Point, quantity: Quantity) -> tuple[float, float] | None:
    """From the lowest to the highest end of the intervals of a point's networks; None where one has none."""
    rows = point.changes(quantity.what)
    lows, highs = ([end for end in ends if end is not None] for ends in _ends(rows))
    return (min(lows), max(highs)) if quantity.change and rows and len(lows) == len(rows) else None


def _ends(rows: Sequence[Change]) -> tuple[list[float | None], list[float | None]]:
    return [row.low for row in rows], [row.high for row in rows]


def dose_response(family: Family) -> Chart:
    """Draw what a shortcut adds, and what is known without it, against its share in training.

    Args:
        family: the runs of two shares at least.
    """
    styles = series_styles([line.name for line in family.lines])
    with drawing():
        figure = Figure(figsize=(WIDTH, HEIGHT * len(QUANTITIES)), layout="constrained")
        axes = list(figure.subplots(len(QUANTITIES), 1, sharex=True))
        for panel, quantity in zip(axes, QUANTITIES, strict=True):
            chance_line(panel, quantity.nothing)
            for number, line in enumerate(family.lines):
                offset = DODGE * (number - (len(family.lines) - 1) / 2)
                _draw(panel, line, quantity, styles[line.name], offset * _range(family))
            panel.set_ylabel(quantity.title)
        axes[-1].xaxis.set_major_locator(FixedLocator(family.shares))
        axes[-1].set_xlabel(shown(f"training images of {family.of_class} with the {family.shortcut} (share)"))
        legend_below(figure, styles)
    return Chart(
        kind="dose-response",
        title=f"Dose-response, {family.title}",
        caption=_caption(family),
        alt=_alt(family),
        figure=figure,
    )


def _range(family: Family) -> float:
    return family.shares[-1] - family.shares[0]


def _draw(axes: Axes, line: Line, quantity: Quantity, style: Style, offset: float) -> None:
    found = [(point, one) for point in line.points if (one := mean_of(point, quantity)) is not None]
    xs = [point.dose.share + offset for point, _ in found]
    [drawn] = axes.plot(
        xs,
        [one.mean for _, one in found],
        color=style.colour,
        marker=style.marker,
        linestyle=style.dash,
        zorder=3,
    )
    says(drawn, [f"{line.name}, {point.dose.share:g}: {_in_words(one, quantity)}" for point, one in found])
    for x, (point, one) in zip(xs, found, strict=True):
        ends = reach(point, quantity)
        sd = one.sd or 0.0
        low, high = ends if ends is not None else (one.mean - sd, one.mean + sd)
        axes.vlines(x, low, high, color=style.colour, linewidth=1.4, zorder=2)


def _caption(family: Family) -> str:
    runs = [point for line in family.lines for point in line.points]
    most = max(len(point.removals) for point in runs)
    return (
        f"What the {family.shortcut} adds to the test images that carry it: their probability of "
        f"{family.of_class} (top) and the AUC of all test images (middle), with it less without it; and the "
        f"AUC without it (bottom). Points are means over up to {count(most, 'network')}. Bars of the two "
        "differences reach over the 95 % intervals of all networks, each a paired bootstrap over subjects; "
        "bars below are one standard deviation to either side. Dotted: nothing read. Points of one share are "
        "set apart a little, to be seen."
    )


def _alt(family: Family) -> str:
    parts = [
        f"{quantity.title.replace(chr(10), ' ')}, {line.name}: "
        + ", ".join(
            f"{_in_words(one, quantity)} at {point.dose.share:g}"
            for point in line.points
            if (one := mean_of(point, quantity)) is not None
        )
        for quantity in QUANTITIES
        for line in family.lines
    ]
    return f"Line charts by share. {'. '.join(parts)}."


def _in_words(one: Spread, quantity: Quantity) -> str:
    return signed(one.mean) if quantity.change else f"{one.mean:.2f}"
