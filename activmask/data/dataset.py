"""A data set on disk: `metadata.csv`, the PNG files it names, and `card.json`.

Shapes: N images of C channels and H x W pixels. Hugging Face `datasets` reads the same folder with
`load_dataset("imagefolder", data_dir=root)`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activmask.data.files.images import CHANNELS, image_size, read_plain_mask, read_stored
from activmask.data.files.likeness import is_missing, refuse_likenesses
from activmask.data.files.tables import CsvRow, read_table, read_text, relative_path
from activmask.data.multi_label import FORMAT_WITH_LABELS, card_labels, label_columns, only_one_class
from activmask.data.splits import SPLITS
from activmask.data.subjects import find_straddler
from activmask.ground.errors import PATH, DataError
from activmask.ground.folders import way_back
from activmask.ground.places import real

if TYPE_CHECKING:
    from activmask.data.samples import Samples

FORMAT_VERSION = 1
"""Of `card.json` and of what lies beside it; a card that names none is somebody's own."""

TABLE_FILE = "metadata.csv"
"""What a data set holds, one row per image."""

CARD_FILE = "card.json"
"""How it was made."""

CHANNELS_ENTRY = "image_channels"
"""The card's entry for C of the images; without it they are grey. (`channels` is of a source's volumes.)"""

NATIVE = ("native_height", "native_width")
PLANTED = ("shortcut_mask_file_name", "twin_file_name")
"""Of a data set that `activmask plant` made: where its shortcut lies, and the image without it."""

COLUMNS = ("file_name", "mask_file_name", "label", "subject", "site", "split", *NATIVE, *PLANTED)
REQUIRED = COLUMNS[:3]

_PICTURES = ("image", "mask", "shortcut_mask", "twin")
"""What Hugging Face `datasets` calls the pictures that it loads."""


@dataclass(frozen=True)
class Dataset:
    """What the table of a data set says; the pixels stay on disk."""

    root: Path
    """Its folder."""
    file_names: tuple[str, ...]
    """(N,) images, relative to the root."""
    mask_file_names: tuple[str, ...]
    """(N,) masks, relative to the root; empty where an image has none."""
    labels: np.ndarray
    """int64 (N,), the classes 0, 1, ...; of labels that do not exclude each other (N, L) of 0 and 1, -1 where
    unknown."""
    subjects: tuple[str, ...]
    """(N,) whom each image shows; the image's own file name where the table does not say."""
    sites: tuple[str, ...]
    """(N,) where each image was made; empty where the table does not say."""
    splits: tuple[str, ...]
    """(N,) train, valid or test; empty where the table does not say."""
    height: int
    """H in px, of every image and mask."""
    width: int
    """W in px, of every image and mask."""
    card: dict[str, Any]
    """How the data set was made; empty if its folder has no card.json."""
    channels: int = 1
    """C of every image: 1 where they are grey, 3 where they are in colour, as the card says."""
    native: np.ndarray | None = None
    """int64 (N, 2), height and width in px of the slice that each image was resized from; 0 where the
    card says that there were slices and the table lacks the columns, None where there were none."""
    shortcut_mask_file_names: tuple[str, ...] = ()
    """(N,) where a planted shortcut lies, relative to the root; empty where on nothing or on everything."""
    twin_file_names: tuple[str, ...] = ()
    """(N,) the images without what was planted, their own name where nothing was; none of a data set
    without the column."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further columns of the table by name, (N,) texts each; empty where the table has no value."""
    label_names: tuple[str, ...] = ()
    """(L,) of labels that do not exclude each other, the table's columns; none where images have a class."""

    def __len__(self) -> int:
        """The number of images N."""
        return len(self.file_names)

    @property
    def files(self) -> set[str]:
        """All files that the table names, relative to the root."""
        named = (self.file_names, self.mask_file_names, self.shortcut_mask_file_names, self.twin_file_names)
        return {name for column in named for name in column if name}


def read_dataset(root: str | Path, *, multi_label: bool = False) -> Dataset:
    """Read and check a data set's table, its card, and the header of every file it names.

    Args:
        root: Its folder.
        multi_label: Take labels that do not exclude each other, too; then `labels` may be (N, L).

    Raises:
        DataError: anything missing, broken or contradictory, with its file and row; or several labels an
            image where the caller knows classes alone.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(
            f"the data set folder {PATH} does not exist",
            path=root,
            advice=way_back(root) or "the commands prepare-* and make-synthetic make one",
        )
    table = root / TABLE_FILE
    if not (table.exists() or (root / CARD_FILE).exists()):
        raise DataError(
            f"the folder {PATH} is no data set: it has no {TABLE_FILE}",
            path=root,
            advice="the command prepare-folder makes one of a folder of pictures, DICOM files or volumes",
        )
    card = read_card(root)
    names = card_labels(card, root / CARD_FILE)
    if names and not multi_label:
        raise only_one_class(root, names)
    rows = read_table(table, required_columns(names), COLUMNS)
    _check_distinct(table, rows)
    for column in ("subject", "site"):
        refuse_likenesses(table, column, ((row.number, row[column]) for row in rows))
    height, width = _common_size(root, table, rows)
    return Dataset(
        root=root,
        file_names=_column(rows, "file_name"),
        mask_file_names=tuple(_optional(row, "mask_file_name") for row in rows),
        labels=label_columns(table, rows, names) if names else _labels(table, rows),
        subjects=_subjects(table, rows),
        sites=_column(rows, "site"),
        splits=_splits(table, rows),
        height=height,
        width=width,
        card=card,
        channels=card_channels(root, card),
        native=_native(table, rows, card),
        shortcut_mask_file_names=tuple(_optional(row, "shortcut_mask_file_name") for row in rows),
        twin_file_names=_twins(table, rows),
        columns={
            name: tuple(_optional(row, name) for row in rows)
            for name in free_columns(rows[0].cells)
            if name not in names
        },
        label_names=names,
    )


def required_columns(label_names: Sequence[str]) -> tuple[str, ...]:
    """The columns that a data set's table must have, given its labels if they do not exclude each other."""
    return (*REQUIRED[:2], *label_names) if label_names else REQUIRED


def free_columns(names: Iterable[str]) -> list[str]:
    """The columns of a table that say something further of each image and can be kept in a data set.

    Those whose names mean a picture or a file to Hugging Face `datasets` cannot.
    """
    return [name for name in names if name and name not in COLUMNS and not means_a_file(name)]


def means_a_file(name: str) -> bool:
    """Whether Hugging Face `datasets` takes a column of this name for a picture."""
    return name in _PICTURES or name.endswith(("file_name", "file_names"))


Decoded = dict[tuple[str, bool], np.ndarray]
"""The pixels of files by name, and whether as a mask."""


def load_samples(dataset: Dataset, indices: Sequence[int], decoded: Decoded | None = None) -> "Samples":
    """Read the images and masks at `indices`, in that order.

    Args:
        dataset: On disk.
        indices: n of its rows.
        decoded: Files that were read before, to be shared between calls on one data set; it grows.

    Returns:
        Images float32 (n, C, H, W) in [0, 1] and masks bool (n, 1, H, W); an image without a mask gets one
        that is all True.

    Raises:
        DataError: a file is broken, a mask holds more than 0 and one other value, or a file changed its
            size since the table was read.
    """
    import torch

    from activmask.data.samples import Samples

    count, sides = len(indices), (dataset.height, dataset.width)

    def pixels(name: str, *, mask: bool) -> np.ndarray:
        found = None if decoded is None else decoded.get((name, mask))
        if found is None:
            read = read_plain_mask if mask else partial(read_stored, channels=dataset.channels)
            found = _pixels(dataset, name, read)
            if decoded is not None:
                decoded[name, mask] = found
        return found

    images = np.empty((count, dataset.channels, *sides), np.float32)
    masks = np.ones((count, 1, *sides), np.bool_)
    for k, i in enumerate(indices):
        images[k] = pixels(dataset.file_names[i], mask=False)
        if dataset.mask_file_names[i]:
            masks[k, 0] = pixels(dataset.mask_file_names[i], mask=True)
    return Samples(
        images=torch.from_numpy(images),
        masks=torch.from_numpy(masks),
        has_mask=torch.tensor([dataset.mask_file_names[i] != "" for i in indices], dtype=torch.bool),
        labels=torch.from_numpy(dataset.labels[np.asarray(indices, dtype=np.int64)]),
        subjects=tuple(dataset.subjects[i] for i in indices),
        sites=tuple(dataset.sites[i] for i in indices),
        names=tuple(dataset.file_names[i] for i in indices),
        native=None if dataset.native is None else torch.from_numpy(dataset.native[np.asarray(indices, int)]),
    )


def native_sides(table: Path, row: CsvRow) -> tuple[int, int] | None:
    """Height and width in px of the slice that a row's image was resized from; None without the columns.

    Raises:
        DataError: one of the columns is missing, or a side is no number of px.
    """
    given = [name for name in NATIVE if name in row.cells]
    if not given:
        return None
    for name in NATIVE:
        text = row[name]
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
            raise DataError(
                f"{name} must be a number of px above 0",
                path=table,
                row=row.number,
                found=repr(text),
                advice=f"fill in {' and '.join(NATIVE)} in every row or remove both columns",
            )
    height, width = (int(row[name]) for name in NATIVE)
    return height, width


def read_card(root: Path) -> dict[str, Any]:
    """What `card.json` says about how the data set was made; empty if there is none.

    Raises:
        DataError: the file is not a JSON object, or of a data set that a later version made.
    """
    path = root / CARD_FILE
    if not path.exists():
        return {}
    try:
        card = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{PATH} is not valid JSON ({error})", path=path, advice="mend or remove it"
        ) from error
    if not isinstance(card, dict):
        raise DataError(
            f"{PATH} must hold a JSON object",
            path=path,
            found=type(card).__name__,
            advice="mend or remove it",
        )
    version = card.get("format")
    newer = type(version) is int and version > FORMAT_WITH_LABELS
    if newer or (version is not None and (type(version) is not int or version < 1)):
        raise DataError(
            f"{PATH} is of a data set whose format this version of activmask does not know",
            path=path,
            expected=f"format {FORMAT_WITH_LABELS} or older",
            found=version,
            advice="update activmask" if newer else "mend or remove its entry 'format'",
        )
    return card


def card_channels(root: Path, card: Mapping[str, Any]) -> int:
    """C of the images of a data set with this card (raises DataError where it says what none can have)."""
    found = card.get(CHANNELS_ENTRY, CHANNELS[0])
    if type(found) is not int or found not in CHANNELS:
        raise DataError(
            f"{CHANNELS_ENTRY} must be 1 (grey) or 3 (red, green and blue)",
            path=root / CARD_FILE,
            found=repr(found),
            advice="mend or remove it",
        )
    return found


def find_gap(labels: np.ndarray) -> int | None:
    """The first class number that no label has although a greater one occurs."""
    present = np.unique(labels)
    wrong = np.flatnonzero(present != np.arange(len(present)))
    return int(wrong[0]) if len(wrong) else None


def _pixels(dataset: Dataset, name: str, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    pixels = read(dataset.root / name)
    if pixels.shape[-2:] != (dataset.height, dataset.width):
        raise DataError(
            f"{PATH} is {_shown(pixels.shape[-2:])}, expected {_shown((dataset.height, dataset.width))}; "
            "it changed since the table was read",
            path=dataset.root / name,
        )
    return pixels


def _column(rows: Sequence[CsvRow], name: str) -> tuple[str, ...]:
    return tuple(row[name] for row in rows)


def _optional(row: CsvRow, column: str) -> str:
    return "" if is_missing(row[column]) else row[column]


def _twins(table: Path, rows: Sequence[CsvRow]) -> tuple[str, ...]:
    if "twin_file_name" not in rows[0].cells:
        return ()
    for row in rows:
        if not _optional(row, "twin_file_name"):
            raise DataError(
                "twin_file_name is empty",
                path=table,
                row=row.number,
                advice="name the image itself where nothing was planted, or remove the column",
            )
    return _column(rows, "twin_file_name")


def _check_distinct(table: Path, rows: Sequence[CsvRow]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        known = first.setdefault(row["file_name"], row.number)
        if known != row.number:
            raise DataError(f"{row['file_name']!r} is already in row {known}", path=table, row=row.number)


def _common_size(root: Path, table: Path, rows: Sequence[CsvRow]) -> tuple[int, int]:
    find = _finder(root)
    expected: tuple[int, int] | None = None
    for row in rows:
        for column in ("file_name", "mask_file_name", *PLANTED):
            if column != "file_name" and not _optional(row, column):
                continue
            try:
                size = image_size(find(row[column]))
            except DataError as error:
                raise error.retold(DataError, path=table, row=row.number) from error
            expected = expected or size
            if size != expected:
                raise DataError(
                    f"{row[column]!r} is {_shown(size)}, but the first image is {_shown(expected)}",
                    path=table,
                    row=row.number,
                    advice="give all images and masks one size (prepare-folder resizes)",
                )
    assert expected is not None, "read_table returns at least one row"
    return expected


def _shown(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]} px"


def _finder(root: Path) -> Callable[[str], Path]:
    """A function that finds a named file and refuses one that lies outside the root."""
    base = real(root)

    @cache
    def inside(folder: Path) -> bool:
        return real(folder).is_relative_to(base)

    def find(name: str) -> Path:
        path = root / relative_path(name)
        if not inside(path.parent) or (path.is_symlink() and not real(path).is_relative_to(base)):
            raise DataError(f"the file {name!r} is a link that leads out of the data set; copy it there")
        return path

    return find


def _labels(table: Path, rows: Sequence[CsvRow]) -> np.ndarray:
    for row in rows:
        text = row["label"]
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise DataError(
                "label must be a class number 0, 1, ...", path=table, row=row.number, found=repr(text)
            )
    labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
    gap = find_gap(labels)
    if gap is not None:
        raise DataError(f"no image has label {gap}, but labels must be 0, 1, ... without a gap", path=table)
    return labels


def _subjects(table: Path, rows: Sequence[CsvRow]) -> tuple[str, ...]:
    if "subject" not in rows[0].cells:
        return _column(rows, "file_name")
    for row in rows:
        if is_missing(row["subject"]):
            raise DataError(
                f"subject is empty or {row['subject']!r}",
                path=table,
                row=row.number,
                advice="fill it in every row or remove the column",
            )
    return _column(rows, "subject")


def _native(table: Path, rows: Sequence[CsvRow], card: dict[str, Any]) -> np.ndarray | None:
    found = [native_sides(table, row) for row in rows]
    if None not in found:
        return np.array(found, dtype=np.int64)
    # Versions before the columns stored slices too.
    return np.zeros((len(rows), 2), np.int64) if card.get("source") == "msd" else None


def _splits(table: Path, rows: Sequence[CsvRow]) -> tuple[str, ...]:
    splits, subjects = _column(rows, "split"), _subjects(table, rows)
    if not any(splits):
        return splits
    for row in rows:
        if row["split"] not in SPLITS:
            raise DataError(
                "split must be train, valid or test", path=table, row=row.number, found=repr(row["split"])
            )
    pair = find_straddler(subjects, splits)
    if pair is not None:
        i, j = pair
        raise DataError(
            f"subject {subjects[j]!r} is in {splits[j]}, but in {splits[i]} in row "
            f"{rows[i].number}; nobody's images may fall in two splits",
            path=table,
            row=rows[j].number,
        )
    return splits
