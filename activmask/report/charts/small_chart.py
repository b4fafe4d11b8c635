"""Small line charts that a row of the report opens, written as SVG.

matplotlib takes a third of a second for a chart, which a report of many runs would wait for a hundred times;
these take a millisecond, and every line and mark says its values where the pointer rests on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log

from matplotlib.ticker import LogLocator, MaxNLocator

from activmask.ground.shown import shown

_WIDTH, _HEIGHT = 340, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 40
"""Units of the drawing; a unit is a px at its natural size."""

_MOST_POINTS = 250
"""Of a line: about as many as there are px."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line, or marks, and what is said of it."""

    name: str
    """What the legend says; empty leaves it out of the legend."""
    x: Sequence[float]
    y: Sequence[float]
    hover: str
    """What the whole of it says where the pointer rests on it."""
    colour: str
    """Of `chart.PALETTE`."""
    faint: bool = False
    """Whether it stands behind others, as a single seed behind their mean."""
    dash: str = ""
    """Of the line, in the words of SVG."""
    marks: Sequence[str] = ()
    """What each point says; with them every point has a mark."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One axis."""

    title: str
    low: float
    high: float
    log: bool = False
    """Whether equal distances are equal ratios; low is above 0 then."""
    whole: bool = False
    """Whether it counts."""

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.log:
            return (log(max(value, self.low)) - log(self.low)) / (log(self.high) - log(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """The values that are written beside it."""
        locator = LogLocator(numticks=5) if self.log else MaxNLocator(4, integer=self.whole)
        return [
            float(tick)
            for tick in locator.tick_values(self.low, self.high)
            if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)
        ]


@dataclass(frozen=True, kw_only=True)
class SmallChart:
    """A chart of lines on two axes."""

    title: str
    x: Scale
    y: Scale
    series: tuple[Series, ...]
    chance: tuple[tuple[float, float], tuple[float, float]] | None = None
    """The ends (x, y) of a dotted line: what knows nothing, or what is perfect."""
    alt: str
    """What is seen, with the numbers that matter."""


def small_svg(chart: SmallChart) -> str:
    """The chart as an `svg` element of a page, in the page's own text colour."""
    parts = [*_grid(chart), *_chance(chart)]
    for one in sorted(chart.series, key=lambda one: not one.faint):
        parts += _series(chart, one)
    parts += _legend(chart)
    height = _HEIGHT + 15 * len(_named(chart))
    label = escape(shown(f"{chart.title}. {chart.alt}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{label}" font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )


def scale_of(title: str, values: Sequence[float]) -> Scale:
    """An axis that holds values at least 0, by ratios where they span more than a hundredfold."""
    low, high = min(values), max(values)
    if low > 0 and high / low > 100:
        return Scale(title=f"{title} (log)", low=low, high=high, log=True)
    return Scale(title=title, low=0.0, high=high or 1.0)


def _x(chart: SmallChart, value: float) -> float:
    return _LEFT + chart.x.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(chart: SmallChart, value: float) -> float:
    return _HEIGHT - _BOTTOM - chart.y.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(chart: SmallChart) -> list[str]:
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    parts = []
    for tick in chart.y.ticks():
        y = f"{_y(chart, tick):.1f}"
        parts.append(f'<path d="M{left} {y}H{right}" stroke="var(--chart-grid)" stroke-width=".8"/>')
        parts.append(f'<text x="{left - 5}" y="{y}" dy=".32em" text-anchor="end">{tick:g}</text>')
    for tick in chart.x.ticks():
        x = f"{_x(chart, tick):.1f}"
        parts.append(f'<path d="M{x} {top}V{bottom}" stroke="var(--chart-grid)" stroke-width=".8"/>')
        parts.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>')
    middle = (left + right) / 2
    return [
        *parts,
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="currentColor" stroke-width=".9"/>',
        f'<text x="{middle}" y="{bottom + 30}" text-anchor="middle">{escape(chart.x.title)}</text>',
        f'<text transform="translate(10 {(top + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y.title)}</text>",
    ]


def _chance(chart: SmallChart) -> list[str]:
    if chart.chance is None:
        return []
    (x0, y0), (x1, y1) = chart.chance
    ends = f"M{_x(chart, x0):.1f} {_y(chart, y0):.1f}L{_x(chart, x1):.1f} {_y(chart, y1):.1f}"
    return [f'<path d="{ends}" stroke="var(--chart-muted)" stroke-width="1.2" stroke-dasharray="2 2"/>']


def _series(chart: SmallChart, one: Series) -> list[str]:
    step = -(-len(one.x) // _MOST_POINTS) or 1
    kept = sorted({*range(0, len(one.x), step), len(one.x) - 1} - {-1})
    points = [(_x(chart, one.x[i]), _y(chart, one.y[i])) for i in kept]
    title = f"<title>{escape(shown(one.hover))}</title>"
    width, opacity = ("1", ".4") if one.faint else ("1.9", "1")
    dash = f' stroke-dasharray="{one.dash}"' if one.dash else ""
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = [
        f'<g>{title}<polyline points="{line}" fill="none" stroke="{one.colour}" stroke-width="{width}" '
        f'stroke-opacity="{opacity}"{dash}/>'
        # A line of a px is hard to point at.
        f'<polyline points="{line}" fill="none" stroke="transparent" stroke-width="8"/></g>'
    ]
    if len(points) == 1 or one.marks:
        said = one.marks or [one.hover]
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{one.colour}" fill-opacity="{opacity}">'
            f"<title>{escape(shown(said[i]))}</title></circle>"
            for i, (x, y) in zip(kept, points, strict=True)
        ]
    return drawn


def _named(chart: SmallChart) -> list[Series]:
    named = [one for one in chart.series if one.name]
    return named if len(named) > 1 else []


def _legend(chart: SmallChart) -> list[str]:
    parts = []
    for number, one in enumerate(_named(chart)):
        y = _HEIGHT + 6 + 15 * number
        dash = f' stroke-dasharray="{one.dash}"' if one.dash else ""
        parts.append(
            f'<path d="M{_LEFT} {y}h26" stroke="{one.colour}" stroke-width="1.9"{dash}/>'
            f'<text x="{_LEFT + 33}" y="{y}" dy=".32em">{escape(shown(one.name))}</text>'
        )
    return parts
