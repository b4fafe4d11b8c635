"""A page as one HTML file: what stands on it, and how that becomes text.

Everything is inlined: the page asks no network and no other file for anything.
"""

import base64
import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from activmask.ground.shown import shown
from activmask.report.charts.pictures import Picture
from activmask.report.findings.account import Fact
from activmask.report.tables.table import Row, Table

WIDE = 700
"""In px; a wider figure has no other beside it."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A file beside the page."""

    title: str
    path: str
    """Relative to the page."""


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """A table and what a page needs to show it."""

    name: str
    """Its anchor."""
    table: Table
    files: tuple[Link, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart, drawn."""

    name: str
    title: str
    caption: str
    svg: str
    """An `<svg>` element of our own making, inserted as it is. It has a label and no size."""
    width: int
    """Its natural width in px."""
    files: tuple[Link, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether it takes a row of the page for itself."""
        return self.width > WIDE


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A small chart."""

    title: str
    svg: str
    """An `<svg>` element of our own making with its label, inserted as it is."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """All about one run, folded until it is asked for."""

    name: str
    """Its anchor, see `Row.opens`."""
    title: str
    detail: str
    model: str
    method: str
    """By both of which it is filtered, with its rows."""
    facts: tuple[Fact, ...]
    command: str
    """That trains it anew; empty where nobody says."""
    settings: str
    """All of them, as TOML."""
    tables: tuple[PageTable, ...]
    drawings: tuple[Drawing, ...]
    pictures: tuple[Picture, ...]
    pictured: str
    """What the pictures are, or why there are none; may be empty."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section of the page; what is empty is left out."""

    name: str
    """Its anchor."""
    title: str
    paragraphs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be done, a sentence each."""
    facts: tuple[Fact, ...] = ()
    files: tuple[Link, ...] = ()
    """What lies beside the page."""
    filtered: bool = False
    """Whether the controls that filter all tables stand here."""
    tables: tuple[PageTable, ...] = ()
    notes: tuple[str, ...] = ()
    openings: tuple[Opening, ...] = ()
    figures: tuple[Figure, ...] = ()
    command: str = ""

    @property
    def says_something(self) -> bool:
        """Whether there is anything in it."""
        return any(
            (
                self.paragraphs,
                self.problems,
                self.facts,
                self.files,
                self.tables,
                self.openings,
                self.figures,
                self.command,
            )
        )


@dataclass(frozen=True, kw_only=True)
class Page:
    """All of it."""

    maker: str
    """The command that made it, by which it is known again."""
    title: str
    question: str
    answer: tuple[str, ...]
    """Paragraphs."""
    parts: tuple[Part, ...]

    @property
    def models(self) -> list[str]:
        """Of all rows, in their order."""
        return list(dict.fromkeys(row.model for row in self._rows() if row.model))

    @property
    def methods(self) -> list[str]:
        """Of all rows, in their order."""
        return list(dict.fromkeys(row.method for row in self._rows() if row.method))

    @property
    def opened(self) -> set[str]:
        """The anchors of what can be opened."""
        return {one.name for part in self.parts for one in part.openings}

    def _rows(self) -> list[Row]:
        return [row for part in self.parts for shown in part.tables for row in shown.table.rows]


def classes(table: Table, number: int, *, strong: bool = False) -> str | None:
    """The classes of a cell, or of a column's heading.

    Args:
        table: that has the column.
        number: the column's, counted from 0.
        strong: whether it stands out.
    """
    column = table.columns[number]
    marks = {
        "text": not column.numeric,
        "printed": column.printed,
        "opens": any(group.first == number and len(group.columns) > 1 for group in table.groups),
        "strong": strong,
    }
    return " ".join(name for name, holds in marks.items() if holds) or None


def render(page: Page) -> str:
    """The page as HTML; everything in it is escaped but the figures' own SVG.

    Args:
        page: what stands on it.
    """
    script = _resource("page.js")
    environment = Environment(autoescape=True, finalize=_seen, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(_resource("page.html.jinja"))
    return template.render(
        page=page,
        generator=f"{page.maker} {version('activmask')}",
        css=_resource("page.css"),
        classes=classes,
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _seen(value: object) -> object:
    """What a template inserts; text that is not markup yet in characters that are seen."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _resource(name: str) -> str:
    return (files("activmask.report.page") / name).read_text(encoding="utf-8")
