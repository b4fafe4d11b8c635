"""Which images a run trains on, chooses its epoch by and is tested on, and by what each is known again.

A seed's folder holds this as `splits.csv`, one row per image. Runs of benchmarks drawn in memory
have no files to name and keep the digests alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activmask.data.dataset import Dataset, load_samples
from activmask.data.files.tables import CsvRow, format_table, read_table
from activmask.data.multi_label import is_label_code, label_code
from activmask.data.settings import IID
from activmask.data.splits import EVERY_SPLIT, SPLITS
from activmask.ground.errors import PATH, DataError
from activmask.runs.folder import SPLITS_FILE

if TYPE_CHECKING:
    from activmask.data.samples import Samples

_AT_ONCE = 64

COLUMNS = ("file", "subject", "split", "site", "label", "image_sha256", "mask_sha256")


@dataclass(frozen=True)
class Entry:
    """One image of a run."""

    file: str
    """Relative to the data set, or the image's number where it was drawn in memory."""
    subject: str
    """Whom it shows."""
    split: str
    """`train`, `valid`, `test` or `valid_iid`."""
    site: str
    """Where it was made; empty where unknown."""
    label: int | str
    """Its class, as the run numbers them; of labels that do not exclude each other their `label_code`."""
    image_sha256: str
    """Of its file's bytes, or of its pixels where it was drawn in memory."""
    mask_sha256: str
    """The same of its mask, a slice's native sides included, which scale its dilation; empty without one."""

    @property
    def values(self) -> tuple[str | int, ...]:
        """In the order of `COLUMNS`; `astuple` would copy each in depth, at ten times the time."""
        return tuple(vars(self).values())


def table_entries(
    dataset: Dataset, rows: Mapping[str, np.ndarray], known: dict[str, str] | None = None
) -> tuple[Entry, ...]:
    """The entries of a data set's rows by split, each file read once.

    Args:
        dataset: On disk.
        rows: int64 (n,), the rows of each split.
        known: Digests of files by name, to be shared between calls on one data set; it grows.

    Raises:
        DataError: a file cannot be read.
    """
    known = {} if known is None else known

    def digest(name: str) -> str:
        if name and name not in known:
            known[name] = hashlib.sha256(file_content(dataset.root / name)).hexdigest()
        return known.get(name, "")

    def mask_digest(i: int) -> str:
        found = digest(dataset.mask_file_names[i])
        if not found or dataset.native is None:
            return found
        height, width = dataset.native[i].tolist()
        return hashlib.sha256(f"{found} {height} {width}".encode()).hexdigest()

    return tuple(
        Entry(
            file=dataset.file_names[i],
            subject=dataset.subjects[i],
            split=split,
            site=dataset.sites[i],
            label=_label(dataset.labels[i]),
            image_sha256=digest(dataset.file_names[i]),
            mask_sha256=mask_digest(i),
        )
        for split in EVERY_SPLIT
        for i in (rows[split].tolist() if split in rows else ())
    )


def pixel_digests(dataset: Dataset, rows: np.ndarray) -> list[str]:
    """SHA-256 of the pixels of images, as `sample_entries` has them, some of them in memory at a time.

    Raises:
        DataError: a file is broken.
    """
    found: list[str] = []
    for start in range(0, len(rows), _AT_ONCE):
        images = load_samples(dataset, rows[start : start + _AT_ONCE].tolist()).images
        found += [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images]
    return found


def sample_entries(splits: Mapping[str, "Samples"]) -> tuple[Entry, ...]:
    """The entries of images that were drawn in memory, as they are before masks are dilated."""
    return tuple(
        Entry(
            file=samples.names[i],
            subject=samples.subjects[i],
            split=split,
            site=samples.sites[i],
            label=_label(samples.labels[i].numpy()),
            image_sha256=hashlib.sha256(images[i].tobytes()).hexdigest(),
            mask_sha256=hashlib.sha256(masks[i].tobytes()).hexdigest(),
        )
        for split, samples in splits.items()
        for images, masks in [(samples.images.numpy(), samples.masks.numpy())]
        for i in range(len(samples))
    )


def _label(labels: np.ndarray) -> int | str:
    """Of one image: its class (), or its labels (L,)."""
    return label_code(labels.tolist()) if labels.ndim else int(labels)


def split_digests(entries: Iterable[Entry]) -> dict[str, str]:
    """One SHA-256 for each split, of everything its entries say; their order does not count."""
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for entry in entries:
        lines.setdefault(entry.split, []).append(json.dumps(entry.values))
    return {
        split: hashlib.sha256("\n".join(sorted(of_split)).encode()).hexdigest()
        for split, of_split in lines.items()
    }


def format_entries(entries: Iterable[Entry]) -> bytes:
    """The content of a `splits.csv`."""
    return format_table(COLUMNS, (entry.values for entry in entries))


def read_entries(folder: Path) -> tuple[Entry, ...]:
    """What a seed's folder wrote down of its splits; empty where it has no `splits.csv`.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / SPLITS_FILE
    if not path.exists():
        return ()
    return tuple(_entry(path, row) for row in read_table(path, COLUMNS))


def _entry(path: Path, row: CsvRow) -> Entry:
    several = is_label_code(row["label"])
    number = row["label"].isascii() and row["label"].isdigit()
    if row["split"] not in EVERY_SPLIT or not (several or number):
        raise DataError(
            "expected a split of train, valid, test or valid_iid and a class number",
            path=path,
            row=row.number,
            found=f"{row['split']!r} and {row['label']!r}",
            advice="restore the file as training wrote it",
        )
    return Entry(
        file=row["file"],
        subject=row["subject"],
        split=row["split"],
        site=row["site"],
        label=row["label"] if several else int(row["label"]),
        image_sha256=row["image_sha256"],
        mask_sha256=row["mask_sha256"],
    )


def table_rows(entries: Sequence[Entry], dataset: Dataset) -> dict[str, np.ndarray]:
    """Which rows of a data set's table, int64 (n,), the entries of each split name, in their order.

    Raises:
        DataError: the table no longer has some of the files.
    """
    places = {name: row for row, name in enumerate(dataset.file_names)}
    gone = [entry for entry in entries if entry.file not in places]
    if gone:
        raise DataError(
            f"{PATH} no longer has {len(gone)} of the {len(entries)} images of the run's splits, "
            f"the first of them {gone[0].file} of {gone[0].split}",
            path=dataset.root,
            advice="restore them, or train anew",
        )
    return {
        split: np.array([places[entry.file] for entry in entries if entry.split == split], dtype=np.int64)
        for split in (*SPLITS, *([IID] if any(entry.split == IID for entry in entries) else []))
    }


def what_changed(before: Sequence[Entry], now: Sequence[Entry]) -> str:
    """A clause on the first difference between two lists of entries; empty where there is none."""
    known = {entry.file: entry for entry in before}
    names = {
        "image_sha256": "image",
        "mask_sha256": "mask",
        "label": "label",
        "subject": "subject",
        "site": "site",
        "split": "split",
    }
    for entry in now:
        was = known.get(entry.file)
        if was is None:
            return f"{entry.file} of {entry.split} was not in it"
        for field, name in names.items():
            if getattr(was, field) != getattr(entry, field):
                return f"the {name} of {entry.file} of {was.split} is another"
    missing = known.keys() - {entry.file for entry in now}
    return f"{min(missing)} is no longer in it" if missing else ""


def file_content(path: Path) -> bytes:
    """The bytes of a file of a data set (raises DataError where it cannot be read)."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{PATH} cannot be read ({error.strerror})", path=path, advice="restore it"
        ) from error
