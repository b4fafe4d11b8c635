"""A table of labels as people write it: read, its columns understood, and checked as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from activmask.data.dataset import COLUMNS
from activmask.data.files.likeness import is_missing, refuse_like_columns, refuse_likenesses
from activmask.data.files.nifti_names import is_nifti
from activmask.data.files.tables import CsvRow, read_table, relative_path, separator_note, separator_of
from activmask.data.multi_label import UNKNOWN
from activmask.data.sources.folder.classes import canonical
from activmask.data.sources.folder.image_names import with_file_names
from activmask.data.sources.folder.mask_names import composed
from activmask.data.sources.folder.roles import unused_columns, with_roles
from activmask.data.sources.folder.several_labels import SeveralLabels, several_labels
from activmask.data.sources.folder.slice_rows import SLICE, check_slices
from activmask.data.splits import SPLITS
from activmask.ground.errors import PATH, DataError

Place = tuple[PurePosixPath, int | None]
"""What a row is about: a file, or a slice of a volume."""


@dataclass(frozen=True)
class LabelsTable:
    """The rows of a table, and how they tell labels."""

    rows: tuple[CsvRow, ...]
    """At least one; files are named from their folders, columns of a role as a data set calls them."""
    several: SeveralLabels
    volumes: bool
    """Whether any row is about one."""
    unused: Mapping[str, tuple[str, ...]]
    """Columns that seem to have a role and were not asked to, see `unused_columns`."""
    notes: tuple[str, ...]
    """What is to be said of how it was read."""


def read_labels(
    path: Path,
    images: Path,
    masks: Path | None,
    *,
    label_from_mask: bool,
    multi_label: Sequence[str],
    roles: Mapping[str, str | None],
) -> LabelsTable:
    """Read a table of labels.

    Raises:
        DataError: it is broken or contradicts itself.
        UsageError: it lacks a column that is to be the subject or site.
    """
    plain = label_from_mask or multi_label
    required = ("file_name",) if plain else ("file_name", "label")
    separator = separator_of(path, required)
    found = read_table(path, required, COLUMNS, separator=separator)
    if label_from_mask and "label" in found[0].cells:
        raise DataError(
            f"{PATH} has a column label, but the masks are to tell the labels",
            path=path,
            advice="call the column otherwise or let it tell them",
        )
    several = several_labels(path, found, multi_label)
    reserved = (*COLUMNS, *several.names, SLICE)
    rows, notes = with_file_names(with_roles(path, found, roles, reserved), images, masks)
    _check_splits(path, rows)
    called = {role: column or role for role, column in roles.items()}
    _check_names(path, rows, called, classes=not multi_label)
    volumes = any(is_nifti(Path(row["file_name"])) for row in rows)
    if volumes:
        refuse_like_columns(path, rows[0].cells, (SLICE,))
        check_slices(path, rows)
    if not label_from_mask:
        _check_contradictions(path, rows, several)
    return LabelsTable(
        tuple(rows),
        several,
        volumes,
        unused_columns(rows, reserved),
        (*separator_note(path, separator), *several.notes, *notes),
    )


def place_of(row: CsvRow) -> Place:
    """What a row is about (raises DataError where its file's name cannot be one)."""
    path = relative_path(row["file_name"])
    one = is_nifti(Path(path)) and not is_missing(row[SLICE])
    return composed(path), int(row[SLICE]) if one else None


def _check_splits(labels: Path, rows: Sequence[CsvRow]) -> None:
    # A split by another name would leave out a third of the images, so it is no mere broken item.
    if not any(row["split"] for row in rows):
        return
    for row in rows:
        if row["split"] not in SPLITS:
            raise DataError(
                "split must be train, valid or test", path=labels, row=row.number, found=repr(row["split"])
            )


def _check_names(labels: Path, rows: Sequence[CsvRow], called: Mapping[str, str], *, classes: bool) -> None:
    for row in rows if classes else ():
        if row["label"].casefold() == "none":
            raise DataError(
                f"the label {row['label']!r} may be a class or a missing value",
                path=labels,
                row=row.number,
                advice="call the class something else, or leave the cell empty",
            )
    known = [(row.number, canonical(row["label"])) for row in rows if not is_missing(row["label"])]
    if classes:
        refuse_likenesses(labels, "label", known)
    for role, column in called.items():
        refuse_likenesses(labels, column, ((row.number, row[role]) for row in rows))
    # Files without the ending of an image stand in for subjects too.
    unnamed = ((row.number, row["file_name"]) for row in rows if not row["subject"])
    refuse_likenesses(labels, "file_name", unnamed)


def _check_contradictions(labels: Path, rows: Sequence[CsvRow], several: SeveralLabels) -> None:
    """Refuse two labels of one image: nobody but whoever wrote them knows which is right."""
    first: dict[Place, CsvRow] = {}
    wrong = []
    for row in rows:
        try:
            known = first.setdefault(place_of(row), row)
        except DataError:  # Its row is left out, and says why.
            continue
        if contradiction := _contradiction(row, known, several):
            wrong.append((row, contradiction))
    if wrong:
        row, contradiction = wrong[0]
        more = f" (and {len(wrong) - 1} more rows like this one)" if len(wrong) > 1 else ""
        raise DataError(
            f"{row['file_name']!r} {contradiction}{more}",
            path=labels,
            row=row.number,
            advice="keep the row that is right",
        )


def _contradiction(row: CsvRow, known: CsvRow, several: SeveralLabels) -> str:
    """How a row labels an image otherwise than an earlier one; empty where it does not."""
    if not several.names:
        here, there = canonical(row["label"]), canonical(known["label"])
        if here == there or is_missing(here) or is_missing(there):
            return ""
        return f"has the label {here!r} here, but {there!r} in row {known.number}"
    before = several.of(known)
    for name, value in several.of(row).items():
        if UNKNOWN not in {value, before[name]} and value != before[name]:
            return f"has {value} for the label {name!r} here, but {before[name]} in row {known.number}"
    return ""
