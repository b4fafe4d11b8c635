"""Labels of which an image may have several or none: a column of 0 and 1 for each, empty where unknown.

Shapes: N images, L labels, at least two. In memory they are int64 (N, L), -1 where unknown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activmask.data.files.likeness import is_missing
from activmask.data.files.tables import CsvRow
from activmask.ground.errors import PATH, DataError
from activmask.ground.listed import listed

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = -1
"""In place of 0 or 1 where nobody knows; it takes no part in any loss or score."""

LABELS_ENTRY = "label_columns"
"""The entry of a card that names the columns of its table that are labels; other sets have a class each."""

FORMAT_WITH_LABELS = 2
"""Of such a data set: earlier versions, which would not know its labels, refuse it."""

BETWEEN = "|"
"""Between labels that stand in one cell."""

_WORDS = {"1": 1, "1.0": 1, "0": 0, "0.0": 0}
_SIGNS = {0: "0", 1: "1", UNKNOWN: "?"}


def card_labels(card: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The labels that a card names, in their order; none of a data set with a class for each image.

    Args:
        card: what it says.
        path: of the card, for messages.

    Raises:
        DataError: they are not two or more different names.
    """
    if LABELS_ENTRY not in card:
        return ()
    names = card[LABELS_ENTRY]
    well = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    if not well or len(set(names)) != len(names) or len(names) < 2:
        raise DataError(
            f"{LABELS_ENTRY} must list two or more columns of the table by name",
            path=path,
            found=repr(names)[:200],
            advice="mend or remove it",
        )
    return tuple(names)


def only_one_class(root: Path, names: Sequence[str]) -> DataError:
    """What to raise where a data set of several labels stands, and only classes are understood."""
    return DataError(
        f"{PATH} has {len(names)} labels an image ({listed(names)}), which do not exclude each other, and "
        "this takes one class an image",
        path=root,
        advice="prepare a data set with the label that it is about as its class",
    )


def label_columns(table: Path, rows: Sequence[CsvRow], names: Sequence[str]) -> np.ndarray:
    """The labels of a data set's rows, int64 (N, L).

    Raises:
        DataError: a column is missing, a cell is no 0, 1 or empty, or a label is the same everywhere.
    """
    for name in names:
        if name not in rows[0].cells:
            raise DataError(
                f"{PATH} lacks the column {name!r}, which its card.json names as a label", path=table
            )
    labels = np.array([[_cell(table, row, name) for name in names] for row in rows], dtype=np.int64)
    if constant := one_value_only(labels, names):
        raise DataError(f"in {PATH} {constant}", path=table, advice="leave that label out")
    return labels


def _cell(table: Path, row: CsvRow, name: str) -> int:
    value = label_value(row[name])
    if value is None:
        raise DataError(
            f"the label {name} must be 1, 0 or empty where unknown",
            path=table,
            row=row.number,
            found=repr(row[name]),
        )
    return value


def label_value(text: str) -> int | None:
    """What a cell of a label's column says: 1, 0, `UNKNOWN` where empty; None where it says none of it."""
    return UNKNOWN if is_missing(text) else _WORDS.get(text)


def one_value_only(labels: np.ndarray, names: Sequence[str]) -> str:
    """A clause on the first label that is true of all images, or of none, as far as known; empty if none is.

    Args:
        labels: int64 (N, L).
        names: of the L labels.
    """
    for k, name in enumerate(names):
        for value, what in ((1, "is true of no image"), (0, "is false of no image")):
            if not (labels[:, k] == value).any():
                return f"the label {name!r} {what}"
    return ""


def label_sets(labels: np.ndarray) -> np.ndarray:
    """Which images agree in all labels, int64 (N,): a number for each row of labels (N, L) that occurs."""
    return np.asarray(np.unique(labels, axis=0, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def kinds_of(labels: "Tensor") -> "Tensor":
    """Classes (N,) as they are; of labels (N, L) a number for each set of them that occurs, int64 (N,)."""
    if not is_multi_label(labels):
        return labels
    kinds: Tensor = labels.unique(dim=0, return_inverse=True)[1]
    return kinds


def label_code(labels: Sequence[int]) -> str:
    """The labels of one image as text, such as `1|0|?`."""
    return BETWEEN.join(_SIGNS[one] for one in labels)


def is_label_code(text: str) -> bool:
    """Whether a text is that of several labels."""
    signs = text.split(BETWEEN)
    return len(signs) > 1 and set(signs) <= set(_SIGNS.values())


def yes_and_no(label: str) -> tuple[str, str]:
    """What the classes 0 and 1 are called where the question is whether a label is true."""
    return f"no {label}", label


def is_multi_label(labels: "np.ndarray | Tensor") -> bool:
    """Whether labels are (N, L) of several that do not exclude each other, not classes (N,)."""
    return labels.ndim == 2
