"""Several labels for each image of a table, which do not exclude each other.

Either each has a column of its own, of 1 and 0, empty where unknown; or the column `label` holds the names
of all that are true of an image, with `|` between them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activmask.data.dataset import COLUMNS, means_a_file
from activmask.data.files.likeness import refuse_like_columns, refuse_likenesses
from activmask.data.files.tables import CsvRow
from activmask.data.multi_label import BETWEEN, UNKNOWN, label_value
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest

SOME, NONE = "any of the labels", "none of the labels"
"""Kinds of images where brightness, colours and shapes are compared."""

_NAMED = 5


@dataclass(frozen=True)
class SeveralLabels:
    """How a table tells labels that do not exclude each other."""

    names: tuple[str, ...] = ()
    """Of the labels; none where each image has a class."""
    of: Callable[[CsvRow], Mapping[str, int]] = field(default=lambda _: {})
    """What a row says of each: 0, 1 or unknown."""
    joined: bool = False
    """Whether the column `label` tells them."""
    notes: tuple[str, ...] = ()


def check_labels(names: Sequence[str]) -> None:
    """Refuse names that cannot be those of several labels (raises UsageError)."""
    if len(names) == 1:
        raise UsageError(
            f"one label, {names[0]!r}, makes two classes",
            advice="give a column label of 1 and 0, and leave multi_label out",
        )
    if len(set(names)) != len(names):
        raise UsageError("multi_label names a label twice", found=listed(names))
    for name in names:
        if not name or BETWEEN in name or not name.isprintable():
            raise UsageError("multi_label must name the labels, with commas between them", found=repr(name))
        if name in COLUMNS or means_a_file(name):
            raise UsageError(
                f"a label cannot be called {name!r}, which is another column of a data set",
                advice="call it otherwise, in the table too",
            )


def several_labels(table: Path, rows: Sequence[CsvRow], names: Sequence[str]) -> SeveralLabels:
    """How a table tells the labels that are asked for.

    Raises:
        DataError: it lacks one of them, or a cell is neither 1, 0 nor empty.
    """
    if not names:
        return SeveralLabels()
    header = rows[0].cells
    refuse_like_columns(table, header, names)
    there = [name for name in names if name in header]
    if not there and "label" in header:
        return _joined(table, rows, tuple(names))
    if missing := [name for name in names if name not in header]:
        raise DataError(
            f"{PATH} lacks the label {missing[0]!r}: each needs a column of 1 and 0, or all of them stand in "
            f"the column label with {BETWEEN} between them",
            path=table,
            found=f"the columns {listed(list(header)[:20])}",
        )
    for row in rows:
        for name in names:
            if label_value(row[name]) is None:
                raise DataError(
                    f"the label {name} must be 1, 0 or empty where unknown",
                    path=table,
                    row=row.number,
                    found=repr(row[name]),
                    advice="leave the cell empty where it is uncertain: it then counts in no loss or score",
                )
    return SeveralLabels(names=tuple(names), of=lambda row: {name: _known(row[name]) for name in names})


def _known(text: str) -> int:
    found = label_value(text)
    assert found is not None, "all cells were looked at"
    return found


def _joined(table: Path, rows: Sequence[CsvRow], names: tuple[str, ...]) -> SeveralLabels:
    cells = [(row.number, name) for row in rows for name in _true(row)]
    refuse_likenesses(table, "label", cells)
    counts = Counter(name for _, name in cells)
    if unseen := [name for name in names if name not in counts]:
        raise DataError(
            f"no row of {PATH} has the label {unseen[0]!r}; {nearest(unseen[0], counts)}", path=table
        )
    others = [f"{name} ({n})" for name, n in counts.most_common() if name not in names]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    notes = (
        (f"other labels of the table count as none: {', '.join(others[:_NAMED])}{more}",) if others else ()
    )
    return SeveralLabels(
        names=names,
        of=lambda row: {name: int(name in _true(row)) for name in names},
        joined=True,
        notes=notes,
    )


def _true(row: CsvRow) -> list[str]:
    return [name for name in map(str.strip, row["label"].split(BETWEEN)) if name]


def kind_of_labels(labels: Mapping[str, int]) -> str:
    """Which of the two kinds an image is of."""
    return SOME if 1 in labels.values() else NONE


def none_known(labels: Mapping[str, int]) -> bool:
    """Whether nothing is known of an image's labels."""
    return bool(labels) and set(labels.values()) == {UNKNOWN}
