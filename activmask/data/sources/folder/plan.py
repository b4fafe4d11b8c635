"""What a table of labels asks for: which images, with which masks, of which size and depth.

Only file headers are read here.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from activmask.data.dataset import COLUMNS, free_columns, means_a_file
from activmask.data.file_names import safe_name
from activmask.data.files.images import SUFFIXES, bit_depth, faults_of_masks, image_size
from activmask.data.files.likeness import is_missing, refuse_likenesses
from activmask.data.files.tables import CsvRow, read_table, relative_path
from activmask.data.skipped import reason
from activmask.data.splits import SPLITS
from activmask.ground.errors import PATH, DataError
from activmask.ground.walking import walked

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?", re.ASCII)


@dataclass(frozen=True)
class Item:
    """One image of the table that looks sound from outside."""

    file_name: str
    """As the table has it."""
    name: str
    """A safe name, distinct among all items."""
    image: Path
    mask: Path | None
    label: str
    subject: str
    site: str
    split: str
    size: tuple[int, int]
    """(height, width) in px."""
    bit_depth: int
    """8 or 16."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else the table says of it."""


@dataclass(frozen=True)
class Plan:
    """The sound items and the others."""

    items: tuple[Item, ...]
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason)"""
    left_out: tuple[str, ...]
    """Columns of the table that a data set cannot keep."""


def plan_items(images: Path, labels: Path, masks: Path | None) -> Plan:
    """Look up every row of a table of labels.

    Raises:
        DataError: the table is broken, or no mask belongs to any image.
    """
    rows = read_table(labels, ("file_name", "label"), COLUMNS)
    _check_splits(labels, rows)
    _check_names(labels, rows)
    find_mask = _mask_finder(rows, images, masks)
    items: list[Item] = []
    skipped: list[tuple[str, str]] = []
    seen: dict[PurePosixPath, int] = {}
    taken: set[str] = set()
    for row in rows:
        try:
            path = _first_mention(row, seen)
            items.append(_item(row, path, images, find_mask(row, path), taken))
        except DataError as error:
            skipped.append((row["file_name"], reason(error, (images, masks))))
    left_out = tuple(name for name in rows[0].cells if name not in COLUMNS and means_a_file(name))
    return Plan(tuple(items), tuple(skipped), left_out)


def number_classes(labels: set[str]) -> dict[str, int]:
    """Number labels 0, 1, ... in order: by value where all are numbers, else by name."""
    numbers = all(_NUMBER.fullmatch(label) for label in labels)
    ordered = sorted(labels, key=float) if numbers else sorted(labels)
    return {label: number for number, label in enumerate(ordered)}


def _check_splits(labels: Path, rows: Sequence[CsvRow]) -> None:
    # A split by another name would leave out a third of the images, so it is no mere broken item.
    if not any(row["split"] for row in rows):
        return
    for row in rows:
        if row["split"] not in SPLITS:
            raise DataError(
                "split must be train, valid or test", path=labels, row=row.number, found=repr(row["split"])
            )


def _check_names(labels: Path, rows: Sequence[CsvRow]) -> None:
    for row in rows:
        if row["label"].casefold() == "none":
            raise DataError(
                f"the label {row['label']!r} may be a class or a missing value",
                path=labels,
                row=row.number,
                advice="call the class something else, or leave the cell empty",
            )
    known = [(row.number, _canonical(row["label"])) for row in rows if not is_missing(row["label"])]
    refuse_likenesses(labels, "label", known)
    for column in ("subject", "site"):
        refuse_likenesses(labels, column, ((row.number, row[column]) for row in rows))


def _first_mention(row: CsvRow, seen: dict[PurePosixPath, int]) -> PurePosixPath:
    path = relative_path(row["file_name"])
    first = seen.setdefault(_composed(path), row.number)
    if first != row.number:
        raise DataError(f"the image is listed already in row {first}")
    return path


def _item(row: CsvRow, path: PurePosixPath, images: Path, mask: Path | None, taken: set[str]) -> Item:
    if is_missing(row["label"]):
        raise DataError(f"the label is {_shown(row['label'])}")
    if "subject" in row.cells and (is_missing(row["subject"]) or row["subject"].casefold() == "none"):
        raise DataError(f"the subject is {_shown(row['subject'])}; fill it in or remove the column")
    if row["site"] and is_missing(row["site"]):
        raise DataError(
            f"the site is {_shown(row['site'])}; leave the cell empty, or call the site otherwise"
        )
    image = _existing(images, path)
    size, depth = image_size(image), bit_depth(image)
    if mask is not None:
        _check_mask(mask, size)
    return Item(
        file_name=row["file_name"],
        name=safe_name(path, taken),
        image=image,
        mask=mask,
        label=_canonical(row["label"]),
        subject=row["subject"] or row["file_name"],
        site=row["site"],
        split=row["split"],
        size=size,
        bit_depth=depth,
        columns={name: row[name] for name in free_columns(row.cells)},
    )


def _check_mask(mask: Path, size: tuple[int, int]) -> None:
    with faults_of_masks():
        found = image_size(mask)
    if found != size:
        raise DataError(f"the mask {PATH} is of another size than its image", path=mask)


def _shown(cell: str) -> str:
    return f"{cell!r}, a missing value" if cell else "empty"


def _existing(folder: Path, path: PurePosixPath) -> Path:
    """The file of that name, by whichever of Unicode's two ways to write its accents."""
    if str(path).isascii():
        return folder / path
    forms = (str(path), *(unicodedata.normalize(form, str(path)) for form in ("NFC", "NFD")))
    return next((folder / form for form in forms if _is_file(folder / form)), folder / path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # A name too long for this file system.
        return False


def _composed(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(unicodedata.normalize("NFC", str(path)))


def _canonical(label: str) -> str:
    """Whole numbers in one spelling, so that 1 and 01 are one class."""
    return str(int(label)) if _INTEGER.fullmatch(label) else label


def _mask_finder(
    rows: Sequence[CsvRow], images: Path, masks: Path | None
) -> Callable[[CsvRow, PurePosixPath], Path | None]:
    """A function from a row and its image's path to the mask, or None."""
    if "mask_file_name" in rows[0].cells:
        folder = masks or images
        return lambda row, _: _named_mask(folder, row["mask_file_name"])
    if masks is None:
        return lambda _row, _path: None
    by_stem = _files_by_stem(masks)
    stems = {
        _composed(PurePosixPath(row["file_name"])).with_suffix("")
        for row in rows
        if PurePosixPath(row["file_name"]).name
    }
    if not stems & by_stem.keys():
        raise DataError(
            f"no image has a mask of its name in {PATH}; expected for example {min(stems)}.png",
            path=masks,
            advice="rename the masks or name them in a column mask_file_name",
        )
    return lambda _, path: _only_mask(by_stem, path)


def _named_mask(folder: Path, name: str) -> Path | None:
    return None if is_missing(name) else _existing(folder, relative_path(name))


def _files_by_stem(masks: Path) -> dict[PurePosixPath, list[Path]]:
    found: dict[PurePosixPath, list[Path]] = defaultdict(list)
    paths = [folder / name for folder, _, names in walked(masks) for name in names]
    for path in sorted(paths):
        if path.suffix.lower() in SUFFIXES:
            found[_composed(PurePosixPath(path.relative_to(masks).as_posix())).with_suffix("")].append(path)
    return found


def _only_mask(by_stem: dict[PurePosixPath, list[Path]], path: PurePosixPath) -> Path | None:
    candidates = by_stem.get(_composed(path).with_suffix(""), [])
    if len(candidates) > 1:
        first, second = candidates[:2]
        raise DataError(f"two masks have its name: {PATH} and {second.name}", path=first, advice="keep one")
    return candidates[0] if candidates else None
