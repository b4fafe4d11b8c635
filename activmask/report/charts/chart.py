"""What a chart of the report is, the inks and styles it is drawn in, and how it becomes a file.

Every function that draws a chart takes the runs of one data set, and returns None where they hold nothing
to draw.
Text, axes and grids are drawn in placeholder inks on a transparent ground, so that one figure
serves a white file, a light page and a dark page.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import cycle
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.ground.shown import shown
from activmask.report.charts.hover import with_titles
from activmask.report.findings.series import papers_methods

INK = "#1b1c1e"
"""Placeholder for text and axes; `currentColor` in a page."""

MUTED = "#6b6e72"
"""Placeholder for chance lines and secondary text; `--chart-muted` in a page."""

GRID = "#dcdee1"
"""Placeholder for grid lines; `--chart-grid` in a page."""

GREY, BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE = PALETTE = (
    "#808488",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)
"""The colours of Okabe and Ito without yellow and black, and a grey: told apart by colour-blind
readers, seen on white and on near-black."""

WIDTH = 6.4
"""Of every chart, in inches: narrow enough that its text can be read on a telephone."""

_INKS = {INK: "currentColor", MUTED: "var(--chart-muted, #8a8d91)", GRID: "var(--chart-grid, #8a8d9144)"}

_STYLE: dict[Any, Any] = {
    "font.size": 10.5,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    # Each stays a picture of its own in a vector file.
    "image.composite_image": False,
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "activmask",
}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure and the words that go with it."""

    kind: str
    """What it shows, for example `figure-7`."""
    stem: str = ""
    """What its data set is called in names, for which whoever writes several charts cares."""
    title: str
    """A heading."""
    caption: str
    """What is drawn and how to read it."""
    alt: str
    """What is seen, with the numbers that matter, for readers who do not see it."""
    figure: Figure
    """Drawn inside `drawing`, in the inks of this module."""

    @property
    def name(self) -> str:
        """Of its files and its anchor, for example `figure-7-synthetic`."""
        return f"{self.kind}-{self.stem}" if self.stem else self.kind

    @cached_property
    def drawn(self) -> str:
        """As matplotlib writes SVG, on white; drawn once, as that takes longest."""
        file = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Title": shown(self.title)}
        with _settled(self.figure):
            self.figure.savefig(file, format="svg", facecolor="white", metadata=metadata)
        return with_titles(file.getvalue())


Dash = Literal["-", "--", "-.", ":"] | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Style:
    """How one series looks; no two differ in colour alone."""

    colour: str
    marker: str
    dash: Dash


_PAPERS_STYLES = (
    Style(GREY, "o", "-"),
    Style(BLUE, "s", "-"),
    Style(VERMILLION, "^", "--"),
    Style(PURPLE, "D", "-."),
    Style(GREEN, "v", ":"),
    Style(SKY, "P", (0, (5, 1, 1, 1, 1, 1))),
    Style(ORANGE, "X", (0, (3, 1))),
)
"""Of the paper's methods in its order: a method looks the same in every chart."""

_OTHER_MARKERS = ("<", ">", "p", "h", "*", "d", "8", "H")
_OTHER_DASHES: tuple[Dash, ...] = (
    (0, (1, 1)),
    (0, (8, 2)),
    (0, (8, 2, 1, 2)),
    (0, (2, 2)),
    (0, (4, 1, 4, 3)),
)


def series_styles(names: Sequence[str]) -> dict[str, Style]:
    """A style for every name: a paper's method has its own, the others take turns in a longer list."""
    papers = dict(zip(papers_methods(), _PAPERS_STYLES, strict=True))
    others = map(Style, cycle(PALETTE[1:]), cycle(_OTHER_MARKERS), cycle(_OTHER_DASHES))
    return {name: papers.get(name) or next(others) for name in dict.fromkeys(names)}


@contextmanager
def drawing() -> Iterator[None]:
    """Within it, matplotlib draws in the fonts and inks of the report, whatever is set outside."""
    with mpl.rc_context(_STYLE):
        yield


def chance_line(axes: Axes, level: float, *, vertical: bool = False) -> None:
    """Mark the level that chance reaches, behind the data."""
    draw = axes.axvline if vertical else axes.axhline
    draw(level, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1)


def png(chart: Chart, *, dpi: int = 150) -> bytes:
    """The chart as a PNG file on white; equal charts give equal bytes."""
    file = io.BytesIO()
    with _settled(chart.figure):
        chart.figure.savefig(file, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return file.getvalue()


def svg(chart: Chart) -> str:
    """The chart as an SVG file on white, its text as text; equal charts give equal files."""
    return _labelled(chart.drawn, chart)


def themed_svg(chart: Chart) -> str:
    """The chart as an `svg` element for a page, in the page's text colour on the page's ground.

    Its size follows the page: it has a `viewBox` and no width or height. The page may set the
    properties `--chart-muted` and `--chart-grid`. All ids begin with the chart's name.
    """
    text = svg(chart)
    text = text[text.index("<svg") :]
    # The figure's own ground is the first that is filled.
    text = text.replace('style="fill: #ffffff"', 'style="fill: none"', 1)
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # A style element would rule the whole page, so its rules move to the root, which hands them down.
    text = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", '<svg style="stroke-linejoin: round; stroke-linecap: butt"', 1)
    for ink, colour in _INKS.items():
        text = text.replace(ink, colour)
    return text


@contextmanager
def _settled(figure: Figure) -> Iterator[None]:
    """Draw a figure whose layout is fixed: every solution of it starts from the last and moves a little."""
    with drawing():
        if (layout := figure.get_layout_engine()) is not None:
            # Of a layout that is fixed already, matplotlib keeps one that does nothing.
            layout.execute(figure)
            figure.set_layout_engine("none")
        yield


def _labelled(text: str, chart: Chart) -> str:
    """Say what is seen, and make ids unique among the charts of a page."""
    text = re.sub(r'\bid="', f'id="{chart.name}-', text)
    text = re.sub(r'href="#', f'href="#{chart.name}-', text)
    text = text.replace("url(#", f"url(#{chart.name}-")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(shown(chart.alt))}"', 1)
