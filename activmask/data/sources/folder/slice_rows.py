"""Which slices of a volume the rows of a table ask for."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from activmask.data.files.likeness import is_missing
from activmask.data.files.nifti_names import is_nifti
from activmask.data.files.tables import CsvRow
from activmask.ground.errors import DataError

SLICE = "slice"
"""The column that names a slice of a volume, and in which the data set keeps its number."""


def check_slices(table: Path, rows: Sequence[CsvRow]) -> None:
    """Refuse volumes that rows ask for both whole and by slices, and slices that are no numbers.

    Raises:
        DataError: names the row.
    """
    first: dict[PurePosixPath, CsvRow] = {}
    for row in rows:
        if not is_nifti(Path(row["file_name"])):
            continue
        number = row[SLICE]
        if not is_missing(number) and not (number.isascii() and number.isdigit() and len(number) <= 9):
            raise DataError(
                f"{SLICE} must be the number of an axial slice, from the patient's feet, counted from 0",
                path=table,
                row=row.number,
                found=repr(number),
            )
        known = first.setdefault(PurePosixPath(row["file_name"]), row)
        if is_missing(known[SLICE]) != is_missing(number):
            raise DataError(
                f"{row['file_name']!r} is labelled here {_how(row)}, but {_how(known)} in row {known.number}",
                path=table,
                row=row.number,
                advice=f"give the volume one row without a {SLICE}, or each of its slices a row",
            )


def listed_slices(table: Path, row: CsvRow, depth: int) -> Sequence[int]:
    """The numbers of the slices that a row asks for: one, or all of the volume's.

    Raises:
        DataError: there is no such slice. It names the row, as other numbers of the table may be as wrong.
    """
    if is_missing(row[SLICE]):
        return range(depth)
    number = int(row[SLICE])
    if number >= depth:
        raise DataError(
            f"{row['file_name']!r} has no slice {number}: its {depth} slices are counted from 0 to "
            f"{depth - 1}, from the patient's feet",
            path=table,
            row=row.number,
            advice="correct the numbers of the slices",
        )
    return (number,)


def whole_volumes(rows: Sequence[CsvRow]) -> tuple[str, ...]:
    """What is to be said of slices that have the label of their volume."""
    count = sum(is_nifti(Path(row["file_name"])) and is_missing(row[SLICE]) for row in rows)
    if not count:
        return ()
    who = "1 volume has" if count == 1 else f"{count} volumes have"
    return (
        f"{who} one label for all slices, also for those that show nothing of it; a column {SLICE}, or "
        "labels from the masks, tell each slice's own",
    )


def _how(row: CsvRow) -> str:
    return "as a whole" if is_missing(row[SLICE]) else f"by its slice {row[SLICE]}"
