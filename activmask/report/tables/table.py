"""What a table says, whether a page, Markdown, LaTeX or a terminal shows it.

A page has room for what text lacks: headings over several columns, and small print under a number. In
text the two headings become one, and small print stands in brackets.
"""

from dataclasses import dataclass

from activmask.ground.shown import shown
from activmask.report.findings.words import MINUS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry of a table."""

    text: str = ""
    """Empty where there is nothing to say."""
    key: str | None = None
    """What it is sorted by; None sorts last. A number's plain digits in a column of numbers."""
    details: tuple[str, ...] = ()
    """What is said less loudly beside it."""
    strong: bool = False
    """Whether it stands out."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The entry and its details in characters of every keyboard, `-` where there is nothing to say."""
        return tuple(part.replace(MINUS, "-") for part in (self.text or "-", *self.details))

    @property
    def flat(self) -> str:
        """The same in one line, for example `0.20 ± 0.05 (0/0/1; -0.7 SD)`."""
        text, *details = self.lines
        return f"{text} ({'; '.join(details)})" if details else text


@dataclass(frozen=True, kw_only=True)
class Column:
    """How a column reads and sorts."""

    title: str
    group: str = ""
    """The heading over it and its neighbours of the same group; empty for a column by itself."""
    numeric: bool = True
    """Whether it holds numbers; words otherwise."""
    printed: bool = False
    """Whether it repeats what somebody else printed."""
    brief: bool = True
    """Whether a narrow table has it too."""

    @property
    def heading(self) -> str:
        """Both headings in one, for example `Test, best epoch: AUC`."""
        return f"{self.group}: {self.title}" if self.group else self.title


@dataclass(frozen=True, kw_only=True)
class Group:
    """Neighbouring columns under one heading; a single column has no heading of its own."""

    title: str
    first: int
    """Number of its first column, counted from 0."""
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One experiment."""

    title: str
    model: str
    """By which it can be filtered; empty where it cannot."""
    method: str
    cells: tuple[Cell, ...]
    detail: str = ""
    """What is said less loudly beside the title."""
    opens: str = ""
    """The anchor of what a page says of it further down; empty where it says nothing."""

    @property
    def full_title(self) -> str:
        """With its detail in brackets."""
        return f"{self.title} ({self.detail})" if self.detail else self.title


@dataclass(frozen=True, kw_only=True)
class Table:
    """Experiments and their numbers."""

    kind: str
    """What it shows, in one word for names of files and anchors, for example `scores`."""
    title: str
    columns: tuple[Column, ...]
    """That of the rows' titles first, then one per cell."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What its numbers are, a sentence or two each."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All columns in order, those with a common heading together."""
        together: list[list[Column]] = []
        for column in self.columns:
            if column.group and together and together[-1][0].group == column.group:
                together[-1].append(column)
            else:
                together.append([column])
        groups, first = [], 0
        for own in together:
            title = own[0].group or own[0].title
            groups.append(Group(title=title, first=first, columns=tuple(own)))
            first += len(own)
        return tuple(groups)

    @property
    def flat(self) -> tuple[tuple[str, ...], ...]:
        """Its headings and its rows as plain text."""
        header = tuple(column.heading for column in self.columns)
        return (header, *((row.full_title, *(cell.flat for cell in row.cells)) for row in self.rows))


def one_line(text: str) -> str:
    """A name as LaTeX and Markdown show it: characters that are seen, one space where there are several."""
    return " ".join(shown(text).split())
