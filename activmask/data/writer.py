"""Write a data set, whole or not at all, in constant memory.

Shapes: C channels, H x W pixels. The same records give the same bytes.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from activmask.data.dataset import (
    CARD_FILE,
    CHANNELS_ENTRY,
    COLUMNS,
    FORMAT_VERSION,
    NATIVE,
    PLANTED,
    TABLE_FILE,
    find_gap,
)
from activmask.data.files.png import encode_binary_png, encode_png
from activmask.data.files.tables import format_sheet, format_table
from activmask.data.mask_shares import MaskShares, ShareTally
from activmask.data.multi_label import FORMAT_WITH_LABELS, LABELS_ENTRY, UNKNOWN, one_value_only
from activmask.data.splits import SPLITS
from activmask.data.subjects import find_straddler
from activmask.ground.claims import Claim
from activmask.ground.errors import PATH, DataError
from activmask.ground.folders import claimed_folder, written_whole
from activmask.ground.places import real

SKIPPED_COLUMNS = ("file_name", "reason")
_PLANTED_FOLDERS = ("shortcuts", "twins")
_CONTENTS = {TABLE_FILE, CARD_FILE, "images", "masks", "preview.png", "skipped.csv", *_PLANTED_FOLDERS}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# Hugging Face guesses splits from these words in file names and would then ignore the table;
# it looks for lower case only.
_SPLIT_WORD = re.compile(
    r"(?<![A-Za-z])(train|training|validation|valid|val|dev|test|testing|eval|evaluation)(?![A-Za-z])"
)

_BINARY = getattr(os, "O_BINARY", 0)
"""Windows alone knows text files."""

# It takes the type of a column from its first rows, so one mask must be among them.
_HUGGING_FACE_CHUNK = 10_000


@dataclass(frozen=True)
class Record:
    """One image to write."""

    name: str
    """File name without a suffix: ASCII letters, digits, '.', '_' and '-'."""
    image: np.ndarray
    """uint8, uint16 or bool (H, W), or in colour uint8 (H, W, 3)."""
    mask: np.ndarray | None
    """bool (H, W), True inside the region of interest; None for no mask."""
    label: int
    """Class 0, 1, ..."""
    subject: str
    """Whom the image shows."""
    site: str
    """Where it was made, or empty."""
    split: str
    """train, valid, test, or empty in every record."""
    native: tuple[int, int] | None = None
    """Height and width in px of the slice that image and mask were resized from; None in every record
    where that is of no account."""
    twin: np.ndarray | None = None
    """The image without what was planted on it, like `image`; None where nothing was."""
    shortcut: np.ndarray | None = None
    """bool (H, W), True where that lies; None where nothing was planted, or on the whole image."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else is known of it, by column; the same columns in every record."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """0, 1 or `UNKNOWN` for each of several labels by name, which then stand in place of `label`; the same
    names in every record, none where images have a class."""


@dataclass(frozen=True)
class Summary:
    """What was written."""

    root: Path
    images: int
    masks: int
    counts: dict[str, dict[int, int]]
    """Images by split ('all' where there is none) and class."""
    height: int
    width: int
    bit_depth: int
    channels: int = 1
    """C of the images: 1 of grey ones, 3 of those in colour."""
    mask_shares: MaskShares | None = None
    """Of the image, inside the masks; None where nobody asked."""
    label_counts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """Of several labels in place of `counts`: images by split, label and `yes`, `no` or `unknown`."""


def write_dataset(
    root: Path,
    records: Iterable[Record],
    *,
    card: dict[str, Any],
    overwrite: bool = False,
    preview: bytes | Callable[[], bytes] | None = None,
    skipped: Sequence[tuple[str, str]] = (),
    mask_blur: float | None = None,
    claim: Claim | None = None,
) -> Summary:
    """Write `metadata.csv`, `images/`, `masks/` and `card.json` into a new folder.

    A word such as 'train' or 'test' in a record's name is capitalised in the file name, because
    Hugging Face would take it for the split. Where records have a twin, `twins/` and `shortcuts/` and
    the columns that name their files are added; an image without one is named as its own.

    Args:
        root: The folder to make; nothing of it exists until all of it does.
        records: Taken one at a time; all of one size and depth.
        card: How the data set was made. Counts, size, depth and the format's version are added.
        overwrite: Replace a data set that lies at `root`; no other folder is ever replaced.
        preview: Contact sheet, the bytes of a PNG file, or what draws it after the last record.
        skipped: (file name, reason) of items left out. It is read after the last record, so what
            yields the records may append to it.
        mask_blur: Sigma in px by which training will dilate the masks. If given, card and summary
            hold the share of the image inside the masks before and after it.
        claim: The caller's on `root`, where it has work of its own there (`claimed_dataset`).

    Raises:
        InUse: another process is writing at `root`.
        DataError: the target is taken, or the records do not make a data set.
    """
    place, root = root, real(root)
    if claim is not None:
        check_target(place, overwrite)
    with (
        claimed_dataset(place, overwrite) if claim is None else nullcontext(),
        written_whole(root, "data set") as partial,
    ):
        (partial / "images").mkdir()
        (partial / "masks").mkdir()
        tally = None if mask_blur is None else ShareTally(mask_blur)
        labels = tuple(card.get(LABELS_ENTRY, ()))
        rows, size, depth = _write_images(partial, records, tally, labels)
        _check_rows(root, rows, labels)
        summary = _summary(root, rows, size, depth, tally, labels)
        (partial / TABLE_FILE).write_bytes(_table(rows))
        (partial / CARD_FILE).write_bytes(_card(card, summary))
        if preview is not None:
            (partial / "preview.png").write_bytes(preview() if callable(preview) else preview)
        if skipped:
            (partial / "skipped.csv").write_bytes(format_sheet(SKIPPED_COLUMNS, skipped))
    return summary


def claimed_dataset(root: Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Keep other processes from a data set's place while it is made, and mend what a killed one left there.

    Raises:
        InUse: another process is writing there.
        DataError: the place holds something a new data set must not replace.
    """
    return claimed_folder(root, "data set", lambda: check_target(root, overwrite))


def check_target(root: Path, overwrite: bool) -> None:
    """Refuse a place that holds something a new data set must not replace (raises DataError)."""
    if not root.exists() and not root.is_symlink():
        return
    if not root.is_dir() or root.is_symlink():
        raise DataError(
            f"{PATH} exists and is not a plain folder",
            path=root,
            advice="choose another place for the data set",
        )
    found = {path.name for path in root.iterdir()}
    if not found:
        return
    foreign = sorted(found - _CONTENTS)
    if foreign or not {TABLE_FILE, CARD_FILE} <= found:
        odd = f"it holds {foreign[0]!r}" if foreign else f"it has no {TABLE_FILE} with a {CARD_FILE}"
        raise DataError(
            f"{PATH} exists and is not a data set ({odd})", path=root, advice="choose another place"
        )
    if not overwrite:
        raise DataError(
            f"the data set {PATH} exists already",
            path=root,
            advice="choose another place or ask for overwrite",
            ways=("out", "overwrite"),
        )


def _write_images(
    partial: Path, records: Iterable[Record], tally: ShareTally | None, labels: Sequence[str]
) -> tuple[list[dict[str, Any]], tuple[int, ...], int]:
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()
    expected: tuple[tuple[int, ...], int] | None = None
    for record in records:
        _check_record(record, labels)
        found = (record.image.shape, 8 * record.image.dtype.itemsize)
        expected = expected or found
        if found != expected:
            raise DataError(
                f"image {record.name!r} is {_shown(*found)}, but the first is {_shown(*expected)}; "
                "give all images one size and depth, and all or none of them colours"
            )
        if record.name.casefold() in taken:
            raise DataError(
                f"the image name {record.name!r} occurs twice; names must differ in more than case"
            )
        taken.add(record.name.casefold())
        rows.append(_write_one(partial, record))
        if tally is not None:
            tally.add(record.mask, record.native)
    if expected is None:
        raise DataError("there is no image to write a data set of")
    return rows, *expected


def _shown(shape: tuple[int, ...], depth: int) -> str:
    return f"{shape[0]} x {shape[1]} px of {depth} bits{' in colour' if len(shape) == 3 else ''}"


def _check_record(record: Record, labels: Sequence[str]) -> None:
    if set(record.labels) != set(labels):
        raise DataError(
            f"image {record.name!r} must have the labels that the card's {LABELS_ENTRY} names, and no others",
            expected=list(labels),
            found=list(record.labels),
        )
    if not _NAME.fullmatch(record.name):
        raise DataError(
            f"the image name {record.name!r} must be at most 150 ASCII letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    for name in ("subject", "site", "split"):
        if _UNPRINTABLE.search(getattr(record, name)):
            raise DataError(f"image {record.name!r}: {name} contains control characters; remove them")
    if not record.subject:
        raise DataError(f"image {record.name!r} has no subject; its own name will do")
    if record.split not in ("", *SPLITS):
        raise DataError(
            f"image {record.name!r}: split must be train, valid or test", found=repr(record.split)
        )
    if not set(record.labels.values()) <= {0, 1, UNKNOWN}:
        raise DataError(f"image {record.name!r}: labels must be 0, 1 or unknown", found=dict(record.labels))
    if record.label < 0:
        raise DataError(f"image {record.name!r}: label must be 0, 1, ...", found=record.label)
    _check_pixels(record)


def _check_pixels(record: Record) -> None:
    image, mask = record.image, record.mask
    grey = image.ndim == 2 and image.dtype in (np.bool_, np.uint8, np.uint16)
    coloured = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    if not (grey or coloured) or not image.size:
        raise DataError(
            f"image {record.name!r} must be uint8, uint16 or bool (H, W), or uint8 (H, W, 3)",
            found=f"{image.dtype} {image.shape}",
        )
    sides = image.shape[:2]
    for what, one in (("mask", mask), ("shortcut mask", record.shortcut)):
        if one is not None and (one.shape != sides or one.dtype != np.bool_):
            raise DataError(
                f"the {what} of {record.name!r} must be bool {sides}", found=f"{one.dtype} {one.shape}"
            )
    twin = record.twin
    if twin is not None and (twin.shape, twin.dtype) != (image.shape, image.dtype):
        raise DataError(
            f"the twin of {record.name!r} must be {image.dtype} {image.shape}",
            found=f"{twin.dtype} {twin.shape}",
        )
    if twin is None and record.shortcut is not None:
        raise DataError(f"image {record.name!r} has a shortcut's mask, but no twin without the shortcut")


def _write_one(partial: Path, record: Record) -> dict[str, Any]:
    file = _SPLIT_WORD.sub(lambda word: word[0].capitalize(), record.name) + ".png"
    encode = encode_binary_png if record.image.dtype == np.bool_ else encode_png
    _write(f"{partial}/images/{file}", encode(record.image))
    if record.mask is not None:
        _write(f"{partial}/masks/{file}", encode_binary_png(record.mask))
    if record.twin is not None:
        _write_beside(f"{partial}/twins", file, encode(record.twin))
    if record.shortcut is not None:
        _write_beside(f"{partial}/shortcuts", file, encode_binary_png(record.shortcut))
    return {
        "file_name": f"images/{file}",
        "mask_file_name": f"masks/{file}" if record.mask is not None else "",
        **({} if record.labels else {"label": int(record.label)}),
        "subject": record.subject,
        "site": record.site,
        "split": record.split,
        **dict(zip(NATIVE, record.native or ("", ""), strict=True)),
        "shortcut_mask_file_name": f"shortcuts/{file}" if record.shortcut is not None else "",
        "twin_file_name": f"twins/{file}" if record.twin is not None else "",
        **{name: "" if value == UNKNOWN else value for name, value in record.labels.items()},
        **record.columns,
    }


def _write_beside(folder: str, file: str, data: bytes) -> None:
    Path(folder).mkdir(exist_ok=True)
    _write(f"{folder}/{file}", data)


def _write(path: str, data: bytes) -> None:
    # Python's own file objects take as long again as the system does for a file this small.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def _check_rows(root: Path, rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    gap = None if labels else find_gap(np.array([row["label"] for row in rows]))
    if labels and (constant := one_value_only(_label_values(rows, labels), labels)):
        raise DataError(f"in the data set {PATH} {constant}", path=root, advice="leave that label out")
    if gap is not None:
        raise DataError(
            f"the data set {PATH} has no image of class {gap}",
            path=root,
            advice="number classes without a gap",
        )
    splits = [row["split"] for row in rows]
    if any(splits) and not all(splits):
        raise DataError(f"image {rows[splits.index('')]['file_name']!r} has no split, but others have one")
    pair = find_straddler([row["subject"] for row in rows], splits)
    if pair is not None:
        i, j = pair
        raise DataError(
            f"subject {rows[i]['subject']!r} is in {splits[i]} ({rows[i]['file_name']}) and in {splits[j]} "
            f"({rows[j]['file_name']}); nobody's images may fall in two splits"
        )


def _label_values(rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> np.ndarray:
    """The labels of rows, int64 (N, L)."""
    return np.array([[UNKNOWN if row[name] == "" else row[name] for name in labels] for row in rows])


def _table(rows: list[dict[str, Any]]) -> bytes:
    if any(row["twin_file_name"] for row in rows):
        rows = [{**row, "twin_file_name": row["twin_file_name"] or row["file_name"]} for row in rows]
    own = [name for name in COLUMNS if name in rows[0]]
    known = [name for name in own if name in COLUMNS[:4] or any(row[name] for row in rows)]
    columns = [*known, *(name for name in rows[0] if name not in COLUMNS)]
    # The mask of a shortcut first, so that the ROI's stands before it where both come late.
    for column in (PLANTED[0], "mask_file_name"):
        named = next((k for k, row in enumerate(rows) if row[column]), 0)
        if named >= _HUGGING_FACE_CHUNK:
            rows = [rows[named], *rows[:named], *rows[named + 1 :]]
    return format_table(columns, ([row[name] for name in columns] for row in rows))


def _summary(
    root: Path,
    rows: Sequence[dict[str, Any]],
    size: tuple[int, ...],
    depth: int,
    covered: ShareTally | None,
    labels: Sequence[str],
) -> Summary:
    of_classes = () if labels else rows
    tally = Counter((row["split"] or "all", row["label"]) for row in of_classes)
    counts: dict[str, dict[int, int]] = {}
    for split in ("all", *SPLITS):
        classes = {label: n for (where, label), n in sorted(tally.items()) if where == split}
        if classes:
            counts[split] = classes
    masks = sum(1 for row in rows if row["mask_file_name"])
    shares = None if covered is None else covered.result()
    channels = size[2] if len(size) == 3 else 1
    found = _label_counts(rows, labels)
    return Summary(root, len(rows), masks, counts, size[0], size[1], depth, channels, shares, found)


def _label_counts(
    rows: Sequence[dict[str, Any]], labels: Sequence[str]
) -> dict[str, dict[str, dict[str, int]]]:
    words = {"yes": 1, "no": 0, "unknown": ""}
    splits = sorted({row["split"] or "all" for row in rows}, key=("all", *SPLITS).index) if labels else ()
    return {
        split: {
            name: {
                word: sum((row["split"] or "all") == split and row[name] == value for row in rows)
                for word, value in words.items()
            }
            for name in labels
        }
        for split in splits
    }


def _card(card: dict[str, Any], summary: Summary) -> bytes:
    facts = {
        "format": FORMAT_WITH_LABELS if summary.label_counts else FORMAT_VERSION,
        "images": summary.images,
        "masks": summary.masks,
        "height": summary.height,
        "width": summary.width,
        "bit_depth": summary.bit_depth,
        "counts": summary.label_counts or summary.counts,
    }
    if summary.channels > 1:
        facts[CHANNELS_ENTRY] = summary.channels
    if summary.mask_shares is not None:
        facts["mask_shares"] = summary.mask_shares.to_json()
    return (json.dumps({**card, **facts}, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
