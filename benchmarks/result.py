"""What a measurement came to, and on what it was measured.

A result is two files, `NAME.json` and `NAME.md`. The Markdown is made of the JSON and of nothing else,
so that what a person has to say about the numbers stands in the JSON too, as the `text` of a part.
"""

import statistics
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

Spread = dict[str, float]
"""Several numbers of one cell, under one of the sets of names that the Markdown knows."""

Cell = str | float | Spread | None
"""None where there is no number."""


class Column(TypedDict):
    """A column of a table."""

    name: str
    form: NotRequired[str]
    """How its numbers are shown: a format specification, or `short`; left out in a column of words."""


class Table(TypedDict):
    """A table; every row has a cell for each column."""

    columns: list[Column]
    rows: list[list[Cell]]


class Part(TypedDict, total=False):
    """A piece of the Markdown; what it has comes in this order."""

    heading: str
    text: list[str]
    """Lines of Markdown that a person wrote."""
    commands: list[str]
    table: Table


class Measured(TypedDict):
    """What the numbers were measured on; `not recorded` where nobody knows."""

    commit: str
    date: str
    """As 2026-11-24."""
    machine: str
    """The kind of it in plain words, never its name."""
    versions: dict[str, str]
    """Of the software, torch among it."""
    seconds: NotRequired[float]
    """That the whole measurement took."""
    remark: NotRequired[str]


class Result(TypedDict):
    """The content of a result's JSON."""

    title: str
    measured: Measured
    parts: list[Part]
    behind: NotRequired[Any]
    """All that the numbers were made of, for programs."""


def column(name: str, form: str = "") -> Column:
    """A column of numbers in that form, or of words."""
    return {"name": name, "form": form} if form else {"name": name}


def mean_sd(values: Sequence[float]) -> Cell:
    """Mean and sample standard deviation (n - 1); one value alone has none."""
    if len(values) == 1:
        return values[0]
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values)}


def median_range(values: Sequence[float]) -> Spread:
    """Median, least and greatest of several rounds."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
