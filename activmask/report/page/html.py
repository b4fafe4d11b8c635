"""The report as one HTML file: what stands on it, and how that becomes text.

Everything is inlined: the page asks no network and no other file for anything.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

GENERATOR = "activmask report"
"""What a page names as its maker, by which it is known again."""

WIDE = 700
"""In px; a wider figure has no other beside it."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A file beside the page."""

    title: str
    path: str
    """Relative to the page."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry of a table."""

    text: str
    key: str | None = None
    """What it is sorted by; None sorts last. A number's plain digits in a column of numbers."""
    detail: str = ""
    """A second, smaller line."""
    strong: bool = False
    """Whether it stands out."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """How a column reads and sorts."""

    title: str
    number: int
    """Its place, counted from 0, the row's title being column 0."""
    kind: str = "number"
    """`number` or `text`."""
    printed: bool = False
    """Whether it repeats what somebody else printed."""
    opens: bool = False
    """Whether it is the first of several under one heading."""

    def style(self, cell: Cell) -> str | None:
        """The classes of a cell of this column."""
        marks = {
            "text": self.kind == "text",
            "printed": self.printed,
            "opens": self.opens,
            "strong": cell.strong,
        }
        return " ".join(name for name, holds in marks.items() if holds) or None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Columns under one heading; a single column has no heading of its own."""

    title: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One experiment."""

    title: str
    model: str
    method: str
    cells: tuple[Cell, ...]
    detail: str = ""
    """A second, smaller line under the title."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Experiments and their numbers."""

    name: str
    """Its anchor."""
    title: str
    groups: tuple[Group, ...]
    """Of all columns, that of the rows' titles being the first."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    files: tuple[Link, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in order."""
        return tuple(column for group in self.groups for column in group.columns)

    @property
    def two_rows(self) -> bool:
        """Whether some heading spans several columns."""
        return any(len(group.columns) > 1 for group in self.groups)


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
class Fact:
    """A term and what is to be said of it, in one or several lines."""

    title: str
    lines: tuple[str, ...]


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
    filtered: bool = False
    """Whether the controls that filter all tables stand here."""
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    command: str = ""

    @property
    def says_something(self) -> bool:
        """Whether there is anything in it."""
        return any((self.paragraphs, self.problems, self.facts, self.tables, self.figures, self.command))


@dataclass(frozen=True, kw_only=True)
class Page:
    """The whole report."""

    title: str
    question: str
    answer: tuple[str, ...]
    """Paragraphs."""
    parts: tuple[Part, ...]

    @property
    def models(self) -> list[str]:
        """Of all rows, in their order."""
        return list(dict.fromkeys(row.model for row in self._rows()))

    @property
    def methods(self) -> list[str]:
        """Of all rows, in their order."""
        return list(dict.fromkeys(row.method for row in self._rows()))

    def _rows(self) -> list[Row]:
        return [row for part in self.parts for table in part.tables for row in table.rows]


def columns(*groups: tuple[str, tuple[str, ...]], text: frozenset[str] = frozenset()) -> tuple[Group, ...]:
    """Number the columns of a table, given as (heading, titles of its columns).

    Args:
        groups: a heading without titles is a column by itself. A column called `paper` is printed.
        text: headings whose columns hold words.
    """
    numbered, number = [], 0
    for heading, titles in groups:
        made: list[Column] = []
        for title in titles or (heading,):
            made.append(
                Column(
                    title=title,
                    number=number,
                    kind="text" if heading in text or number == 0 else "number",
                    printed=title == "paper",
                    opens=len(titles) > 1 and not made,
                )
            )
            number += 1
        numbered.append(Group(title=heading, columns=tuple(made)))
    return tuple(numbered)


def render(page: Page) -> str:
    """The page as HTML; everything in it is escaped but the figures' own SVG.

    Args:
        page: what stands on it.
    """
    style, script = _resource("page.css"), _resource("page.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(_resource("page.html.jinja"))
    return template.render(
        page=page,
        generator=f"{GENERATOR} {version('activmask')}",
        style=style,
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _resource(name: str) -> str:
    return (files("activmask.report.page") / name).read_text(encoding="utf-8")
