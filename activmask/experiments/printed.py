"""The values that a paper printed for the cells of a grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.runs.selection import Epoch

PRINTED = ("train", "valid", "test", "best_epoch")
"""What a printed column can hold: a score of a split, or the best epoch."""

Axes = Mapping[str, Mapping[str, Any]]
Key = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Printed:
    """A printed mean over seeds."""

    mean: float
    sd: float | None
    """None where none was printed."""
    epoch: Epoch = "best"
    """At the end of which epoch."""


def printed_values(table: Mapping[str, Any], axes: Axes, where: str) -> dict[Key, dict[str, Printed]]:
    """Read the `[printed]` part of a grid.

    Its `columns` name first axes, then measures; `axis: value measure` is a measure of one value
    of a further axis. Each of its `rows` holds a label for every axis and `[mean, SD]` or `[mean]`
    for every measure. The measures named in `last_epoch` are those of the last epoch, all others of
    the best.

    Returns:
        For each set of axis values, its measures.

    Raises:
        UsageError: a column, label or number that does not fit the grid.
    """
    columns, rows = table.get("columns", []), table.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(column, str) for column in columns):
        raise UsageError("printed needs columns, a list of names, and rows, a list of lists", path=where)
    last = _last_epoch(table.get("last_epoch", []), where)
    leading = [column for column in columns if column in axes]
    measures = [_measure(column, axes, where) for column in columns[len(leading) :]]
    found: dict[Key, dict[str, Printed]] = {}
    for row in rows:
        if not isinstance(row, list) or len(row) != len(columns):
            raise UsageError(f"a printed row must have {len(columns)} entries", path=where, found=repr(row))
        labels = dict(zip(leading, row, strict=False))
        for axis, label in labels.items():
            _check_label(axis, label, axes, where)
        for (extra, measure), value in zip(measures, row[len(leading) :], strict=True):
            key = frozenset({**labels, **extra}.items())
            found.setdefault(key, {})[measure] = _printed(value, "last" if measure in last else "best", where)
    return found


def _last_epoch(names: Any, where: str) -> list[str]:
    if not isinstance(names, list) or not all(name in PRINTED[:3] for name in names):
        raise UsageError(f"last_epoch lists some of {', '.join(PRINTED[:3])}", path=where, found=repr(names))
    return names


def _measure(column: str, axes: Axes, where: str) -> tuple[dict[str, str], str]:
    axis, colon, rest = column.partition(": ")
    if not colon:
        return {}, _known_measure(column, where)
    label, _, measure = rest.rpartition(" ")
    _check_label(axis, label, axes, where)
    return {axis: label}, _known_measure(measure, where)


def _known_measure(name: str, where: str) -> str:
    if name not in PRINTED:
        raise UsageError(f"there is no printed measure '{name}'; {nearest(name, PRINTED)}", path=where)
    return name


def _check_label(axis: str, label: Any, axes: Axes, where: str) -> None:
    if not isinstance(label, str) or label not in axes.get(axis, {}):
        raise UsageError(f"the printed values name an unknown {axis} {label!r}", path=where)


def _printed(value: Any, epoch: Epoch, where: str) -> Printed:
    numbers = value if isinstance(value, list) else []
    if len(numbers) not in {1, 2} or not all(isinstance(n, int | float) for n in numbers):
        raise UsageError("a printed value must be [mean, SD] or [mean]", path=where, found=repr(value))
    return Printed(float(numbers[0]), float(numbers[1]) if len(numbers) == 2 else None, epoch)
