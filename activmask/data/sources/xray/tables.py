"""Which chest X-rays are eligible: the metadata tables of NIH ChestX-ray14 and PadChest.

An eligible image shows the finding (label 1) or a healthy chest (label 0). Tables are read row by
row, plain or gzipped, with or without a byte order mark, whatever their line ends.
"""

import ast
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from activmask.data.files.likeness import is_missing, refuse_likenesses, trimmed
from activmask.data.sources.xray.findings import Finding
from activmask.ground.errors import PATH, DataError

Views = Literal["PA", "all"]

NIH, PADCHEST = "nih", "padchest"
TABLE_NAMES = {
    NIH: ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"),
    PADCHEST: (
        "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
        "PADCHEST_chest_x_ray_images_labels_160K.csv",
    ),
}
_NIH_COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position")
_PADCHEST_COLUMNS = (
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "PatientID",
    "PatientBirth",
    "ViewPosition_DICOM",
    "Projection",
    "Pediatric",
    "Labels",
)
_PATIENT = {NIH: "Patient ID", PADCHEST: "PatientID"}
_NO_FINDING = "No Finding"
_NORMAL = "normal"
_CHILD = "PED"
_ADULT_AGE = 18


@dataclass(frozen=True)
class Candidate:
    """One eligible image."""

    file_name: str
    """Base name of the image's file."""
    folder: str
    """PadChest's ImageDir; empty for NIH."""
    subject: str
    """`nih-` or `padchest-` and the patient's id, so that no subject is in two sites."""
    site: str
    """`nih` or `padchest`."""
    label: int
    """1 with the finding, 0 healthy."""


@dataclass(frozen=True)
class Step:
    """What a rule leaves of a collection."""

    site: str
    rule: str
    positives: int
    """Images with the finding."""
    positive_patients: int
    healthy: int
    """Images of healthy chests."""
    healthy_patients: int
    images: int
    """All that are left, whatever they show."""
    patients: int


@dataclass(frozen=True)
class Selection:
    """The eligible images of one collection."""

    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    """The rules in the order they were applied; the first is the whole table."""
    skipped: tuple[tuple[str, str], ...]
    """(image, or table and row; reason) of rows that could not be used."""


class _Row(NamedTuple):
    image: str
    folder: str
    patient: str
    kept: tuple[bool, ...]
    """Whether the row passes each rule in turn, labels not considered."""
    label: int | None
    """None for an image that shows something else."""


def find_table(folder: Path, site: str) -> Path:
    """The collection's metadata table in its usual places: the folder, its parent, one level below.

    Raises:
        DataError: there is none.
    """
    if not folder.is_dir():
        raise DataError(
            f"the folder {PATH} does not exist", path=folder, advice=f"name the folder of the {site} images"
        )
    names = [name + suffix for name in TABLE_NAMES[site] for suffix in ("", ".gz")]
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    for place in (folder, folder.parent, *below):
        for name in names:
            if (place / name).is_file():
                return place / name
    raise DataError(
        f"no table of the {site} collection in {PATH}, its parent or the folders in it: "
        f"expected {' or '.join(TABLE_NAMES[site])}",
        path=folder,
        advice="name the table itself",
    )


def read_nih(table: Path, *, finding: Finding, views: Views = "PA") -> Selection:
    """Eligible images of NIH ChestX-ray14: the finding among the labels, or exactly "No Finding".

    Args:
        table: Data_Entry_2017.csv or its 2020 version.
        finding: what label 1 means.
        views: PA images alone, or those of every view.

    Raises:
        DataError: the table is missing, broken or lacks a column.
    """
    rules = ("all images",) if views == "all" else ("all images", "view position PA")

    def read(cells: dict[str, str]) -> _Row:
        labels = [label.strip() for label in cells["Finding Labels"].split("|")]
        label = 1 if finding.nih in labels else 0 if labels == [_NO_FINDING] else None
        kept = (True, cells["View Position"].strip() == "PA")[: len(rules)]
        return _Row(cells["Image Index"], "", cells["Patient ID"], kept, label)

    return _select(table, NIH, _NIH_COLUMNS, read, rules)


def read_padchest(table: Path, *, finding: Finding, paper: bool = False, adults: bool = True) -> Selection:
    """Eligible PA images of PadChest.

    By default the view is the column Projection, the finding is one whole label, and a healthy
    chest has the label "normal" and no other. The paper's rule takes ViewPosition_DICOM
    containing POSTEROANTERIOR, and the finding, or else "normal", anywhere in the text of the labels.

    Args:
        table: the collection's CSV.
        finding: what label 1 means.
        paper: apply the paper's rule.
        adults: leave out children, because they are healthy only: an age shortcut. A child is marked
            PED in Pediatric, or was born less than 18 calendar years before the study: the column
            Pediatric alone misses most of them.

    Raises:
        DataError: the table is missing, broken or lacks a column.
    """
    view = "ViewPosition_DICOM contains POSTEROANTERIOR" if paper else "projection PA"
    rules = ("all images", view, *(("adults",) if adults else ()))

    def read(cells: dict[str, str]) -> _Row:
        tokens = _tokens(cells["Labels"])
        if paper:
            shows, healthy = finding.padchest in cells["Labels"], _NORMAL in cells["Labels"]
            seen = "POSTEROANTERIOR" in cells["ViewPosition_DICOM"]
        else:
            shows, healthy = finding.padchest in tokens, tokens == {_NORMAL}
            seen = cells["Projection"].strip() == "PA"
        label = 1 if shows else 0 if healthy else None
        kept = (True, seen, _is_adult(cells))[: len(rules)]
        return _Row(cells["ImageID"], cells["ImageDir"].strip(), cells["PatientID"], kept, label)

    return _select(table, PADCHEST, _PADCHEST_COLUMNS, read, rules)


def _is_adult(cells: dict[str, str]) -> bool:
    if cells["Pediatric"].strip() == _CHILD:
        return False
    year, birth = cells["StudyDate_DICOM"].strip()[:4], cells["PatientBirth"].strip().removesuffix(".0")
    # Without both years, which one released row lacks, the column Pediatric has the last word.
    return not (year.isdecimal() and birth.isdecimal()) or int(year) - int(birth) >= _ADULT_AGE


@lru_cache(maxsize=4096)
def _tokens(text: str) -> frozenset[str]:
    """The labels in a Python list written as text; some are empty, and an empty cell has none."""
    if text.strip() in {"", "nan"}:
        return frozenset()
    try:
        labels = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise DataError("its labels are not a list of texts") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError("its labels are not a list of texts")
    return frozenset(label.strip() for label in labels)


def _select(
    table: Path,
    site: str,
    columns: Sequence[str],
    read: Callable[[dict[str, str]], _Row],
    rules: Sequence[str],
) -> Selection:
    rows: list[_Row] = []
    patients: list[tuple[int, str]] = []
    skipped: list[tuple[str, str]] = []
    known: set[str] = set()
    for number, cells in _cells(table, columns):
        image = cells[columns[0]]
        try:
            row = _checked(read(cells), known)
        except DataError as error:
            skipped.append((image or f"{table.name}, row {number}", f"row {number}: {error}"))
        else:
            known.add(image)
            rows.append(row)
            patients.append((number, row.patient))
    refuse_likenesses(table, _PATIENT[site], patients)
    steps = [_step(site, rule, rows, k) for k, rule in enumerate(rules)]
    kept = [row for row in rows if all(row.kept) and row.label is not None]
    candidates = tuple(
        Candidate(row.image, row.folder, f"{site}-{row.patient}", site, row.label or 0) for row in kept
    )
    return Selection(candidates, tuple(steps), tuple(skipped))


def _checked(row: _Row, known: set[str]) -> _Row:
    if row.image in {"", ".", ".."} or "/" in row.image or "\\" in row.image:
        raise DataError("its image has no plain file name")
    if is_missing(row.patient):
        raise DataError("it names no patient")
    if row.image in known:
        raise DataError("the image is in an earlier row already")
    return row


def _step(site: str, rule: str, rows: Sequence[_Row], number: int) -> Step:
    left = [row for row in rows if all(row.kept[: number + 1])]
    shows = [row for row in left if row.label == 1]
    healthy = [row for row in left if row.label == 0]
    return Step(
        site=site,
        rule=rule,
        positives=len(shows),
        positive_patients=len({row.patient for row in shows}),
        healthy=len(healthy),
        healthy_patients=len({row.patient for row in healthy}),
        images=len(left),
        patients=len({row.patient for row in left}),
    )


def _cells(table: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's number and the named columns of it."""
    with _opened(table) as file:
        reader = csv.reader(file, strict=True)
        header = [trimmed(name) for name in next(reader, [])]
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"{PATH} lacks the column {', '.join(map(repr, missing))}",
                path=table,
                advice="give the table as it was released",
            )
        places = [header.index(name) for name in columns]
        fewest = max(places) + 1
        # The last column may be empty and left out.
        for row in reader:
            if not row:
                continue
            if len(row) < fewest:
                raise DataError(
                    path=table,
                    row=reader.line_num,
                    expected=f"{len(header)} cells",
                    found=len(row),
                    advice="give the table as it was released",
                )
            yield (
                reader.line_num,
                {name: trimmed(row[place]) for name, place in zip(columns, places, strict=True)},
            )


@contextmanager
def _opened(table: Path) -> Iterator[io.TextIOWrapper]:
    if not table.is_file():
        raise DataError(
            f"the table {PATH} does not exist or is not a file", path=table, advice="name an existing table"
        )
    try:
        with (
            (gzip.open if table.suffix == ".gz" else open)(table, "rb") as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text,
        ):
            yield text
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the table {PATH} cannot be read", path=table, advice="download it again") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"the table {PATH} is not UTF-8 text", path=table, advice="save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"the table {PATH} is not comma-separated ({error})", path=table, advice="download it again"
        ) from error
