"""Charts as figures of a page, and the files that lie beside it."""

import re
from collections.abc import Sequence

from activmask.ground.spelling import as_utf8
from activmask.report.charts.chart import Chart, png, svg, themed_svg
from activmask.report.page.html import Figure, Link

PX_PER_INCH = 96

_PICTURE = {"SVG": "svg", "PNG": "png"}


def links(folder: str, stem: str, kinds: dict[str, str]) -> tuple[Link, ...]:
    """Links to a file of each kind, a suffix by its title, of one stem in one folder."""
    return tuple(Link(title=title, path=f"{folder}/{stem}.{suffix}") for title, suffix in kinds.items())


def figures(charts: Sequence[Chart]) -> tuple[Figure, ...]:
    """Charts as a page shows them, with links to their files."""
    return tuple(figure(chart) for chart in charts)


def figure(chart: Chart, *more: Link) -> Figure:
    """A chart as a page shows it, with links to its files and to others."""
    return Figure(
        name=chart.name,
        title=chart.title,
        caption=chart.caption,
        svg=_without_repeated_ids(themed_svg(chart)),
        width=round(chart.figure.get_size_inches()[0] * PX_PER_INCH),
        files=(*links("figures", chart.name, _PICTURE), *more),
    )


def drawn(charts: Sequence[Chart]) -> dict[str, bytes]:
    """The files of charts, by their path beside the page."""
    vector = {f"figures/{chart.name}.svg": as_utf8(svg(chart)) for chart in charts}
    return vector | {f"figures/{chart.name}.png": png(chart) for chart in charts}


def _without_repeated_ids(drawing: str) -> str:
    """Pictures that are alike get one id from matplotlib; nothing refers to it."""
    return re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", drawing)
