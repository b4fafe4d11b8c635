"""The tables of the RSNA Pneumonia Detection Challenge (Shih et al. 2019, doi 10.1148/ryai.2019180041).

`stage_2_train_labels.csv` has a row for each box and one for each image without any;
`stage_2_detailed_class_info.csv` says of images without a box whether they are normal.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from activmask.data.files.tables import CsvRow, read_table
from activmask.data.sources.xray.boxes import Box, Boxes
from activmask.ground.errors import PATH, DataError

LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
NORMAL = "Normal"
_SICK = "Lung Opacity"
_KINDS = (_SICK, NORMAL, "No Lung Opacity / Not Normal")
_BOX = ("x", "y", "width", "height")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class RsnaImage:
    """What the tables say of one image."""

    name: str
    """Its `patientId`, which the collection gives to one image each."""
    boxes: Boxes
    """Of pneumonia, in px of the file; empty where there is none."""
    normal: bool
    """Whether the second table calls it normal; False where nobody asked."""


@dataclass
class _Found:
    """The rows of one image, as far as they were read."""

    targets: set[str] = field(default_factory=set)
    boxes: list[Box] = field(default_factory=list)
    why: str = ""
    """Why it cannot be used."""


def find_tables(folder: Path) -> tuple[Path, Path | None]:
    """The table of labels and, where it lies beside it, that of classes.

    Raises:
        DataError: there is no folder, or no table of labels in it.
    """
    if not folder.is_dir():
        raise DataError(
            f"the folder {PATH} does not exist", path=folder, advice="name the folder of the collection"
        )
    labels, classes = folder / LABELS, folder / CLASSES
    if not labels.is_file():
        raise DataError(f"{PATH} holds no {LABELS}", path=folder, advice="unpack the collection as released")
    return labels, classes if classes.is_file() else None


def read_rsna(
    folder: Path, *, with_classes: bool
) -> tuple[tuple[RsnaImage, ...], tuple[tuple[str, str], ...]]:
    """The images of the collection, and what of its tables cannot be used.

    A box that is given twice counts once, as does an image without a box. An image of which one row is
    broken, or whose rows contradict each other, is left out whole.

    Args:
        folder: of the collection.
        with_classes: whether the second table is needed, and read.

    Returns:
        The images by name; and (image, or table and row; reason) of what is left out.

    Raises:
        DataError: a table is missing or broken.
    """
    labels, classes = find_tables(folder)
    found, skipped = _labels(labels)
    kinds: dict[str, set[str]] = {}
    if with_classes:
        if classes is None:
            raise DataError(
                f"{PATH} holds no {CLASSES}, which alone says what is normal",
                path=folder,
                advice="unpack it too, or take all negatives",
            )
        kinds = _kinds(classes)
    images = []
    for name, one in sorted(found.items()):
        why = one.why or _contradiction(one, kinds.get(name, set()), with_classes=with_classes)
        if why:
            skipped.append((name, why))
        else:
            images.append(RsnaImage(name, tuple(sorted(set(one.boxes))), kinds.get(name) == {NORMAL}))
    return tuple(images), tuple(skipped)


def _labels(path: Path) -> tuple[dict[str, _Found], list[tuple[str, str]]]:
    found: dict[str, _Found] = {}
    skipped: list[tuple[str, str]] = []
    for row in read_table(path, ("patientId", *_BOX, "Target")):
        name = row["patientId"]
        if not _NAME.fullmatch(name):
            skipped.append((f"{path.name} row {row.number}", "its patientId is empty or no file's name"))
            continue
        one = found.setdefault(name, _Found())
        one.targets.add(row["Target"])
        try:
            one.boxes += _boxes(row)
        except ValueError as error:
            one.why = one.why or f"row {row.number} of {path.name}: {error}"
    return found, skipped


def _boxes(row: CsvRow) -> list[Box]:
    """The box of a row, if it has one (raises ValueError)."""
    if row["Target"] not in {"0", "1"}:
        raise ValueError("its Target is neither 0 nor 1")
    cells = [row[name] for name in _BOX]
    if row["Target"] == "0":
        if any(cells):
            raise ValueError("it has a box and Target 0")
        return []
    try:
        left, top, width, height = map(float, cells)
    except ValueError:
        raise ValueError("its box is missing or no four numbers") from None
    if not all(map(math.isfinite, (left, top, width, height))) or width <= 0 or height <= 0:
        raise ValueError("its box has no area")
    return [(left, top, width, height)]


def _kinds(path: Path) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for row in read_table(path, ("patientId", "class")):
        kinds.setdefault(row["patientId"], set()).add(row["class"])
    return kinds


def _contradiction(one: _Found, kinds: set[str], *, with_classes: bool) -> str:
    """Why the rows of an image cannot all be true; empty where they can."""
    if len(one.targets) > 1:
        return "its rows have Target 0 and Target 1"
    if not with_classes:
        return ""
    if len(kinds) != 1 or not kinds <= {*_KINDS}:
        return f"{CLASSES} gives it no class, or several, or an unknown one"
    if (one.targets == {"1"}) != (kinds == {_SICK}):
        return f"its Target contradicts its class in {CLASSES}"
    return ""
