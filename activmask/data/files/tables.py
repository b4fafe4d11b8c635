"""CSV tables made by anybody, read with their row numbers.

A row's number is its line in the file, as editors and spreadsheets show it; the header is row 1.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from activmask.data.files.foreign import foreign
from activmask.data.files.likeness import refuse_like_columns, trimmed
from activmask.ground.errors import PATH, DataError
from activmask.ground.shown import shown
from activmask.ground.texts import decoded_text


@dataclass(frozen=True)
class CsvRow:
    """One line of a table."""

    number: int
    """Its line in the file."""
    cells: dict[str, str]
    """Its text by column, without white space at its ends."""

    def __getitem__(self, column: str) -> str:
        """The text under `column`; empty where the table has no such column."""
        return self.cells.get(column, "")


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

    Raises:
        DataError: the file is missing, unreadable or not text.
    """
    if path.is_dir():
        raise DataError(f"{PATH} is a folder", path=path, expected="a text file")
    if not path.is_file():
        raise DataError(f"{PATH} does not exist or is not a file", path=path)
    try:
        text = decoded_text(path)
    except OSError as error:
        raise DataError(f"{PATH} cannot be read: {error.strerror}", path=path) from error
    except ValueError as error:
        raise DataError(f"{PATH} cannot be read: {error}", path=path, found=_packed(path)) from error
    if not text.strip():
        raise DataError(f"{PATH} is empty", path=path, expected="text", advice="copy or download it again")
    return text


def _packed(path: Path) -> str | None:
    """What a file without text is, where its first bytes tell."""
    found = foreign(path).what
    return None if found.startswith(("bytes", "text")) else found


_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def separator_of(path: Path, required: Sequence[str]) -> str:
    """What stands between the columns of a table that people wrote: a comma, a semicolon or a tab.

    It is told by the header alone: the first of them between which it names the `required` columns, as
    cells may hold decimal commas. A comma where it does so between none.

    Raises:
        DataError: the file is missing, unreadable or not text.
    """
    lines = read_text(path).lstrip("\r\n").splitlines()
    for separator in _SEPARATORS:
        names = next(csv.reader(lines[:1], delimiter=separator, skipinitialspace=True), [])
        if set(required) <= set(map(trimmed, names)):
            return separator
    return ","


def separator_note(path: Path, separator: str) -> tuple[str, ...]:
    """That a table has other separators than commas, as a sentence; none where it has commas."""
    if separator == ",":
        return ()
    return (f"{path.name} has {_SEPARATORS[separator]} between its columns; its cells are kept as they are",)


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), *, separator: str = ","
) -> list[CsvRow]:
    """Read a table with a header, which names at least the `required` columns.

    White space around names and cells is dropped, that of other alphabets and invisible characters too, and
    rows of nothing else, such as spreadsheets leave at the end.

    Args:
        path: of the table.
        required: columns that it must have.
        optional: columns that it may have.
        separator: what stands between columns; see `separator_of` for tables that people wrote.

    Raises:
        DataError: the file is broken, a column is missing, named twice or nearly called like an
            `optional` one, a row has too many or too few cells, or there is no row.
    """
    text = read_text(path)
    if (kind := foreign(path)).what.startswith("a web page"):
        raise DataError(f"{PATH} is no comma-separated table", path=path, found=kind.what, advice=kind.advice)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    try:
        header = [trimmed(name) for name in next(reader, [])]
        _check_header(path, header, required)
        refuse_like_columns(path, header, (*required, *optional))
        rows = [_row(path, header, reader.line_num, cells) for cells in reader if any(map(trimmed, cells))]
    except csv.Error as error:
        raise DataError(f"not a comma-separated table ({error})", path=path, row=reader.line_num) from error
    if not rows:
        raise DataError(f"{PATH} has no rows below its header; expected one per image", path=path)
    return rows


def _check_header(path: Path, header: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        _check_separator(path, header, required)
        found = ", ".join(repr(name) for name in header[:20]) or "none"
        raise DataError(
            f"{PATH} lacks the column {', '.join(repr(name) for name in missing)}",
            path=path,
            found=found,
            advice="name the columns in the first row, separated by commas",
        )
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise DataError(f"{PATH} names the column {twice[0]!r} twice", path=path, advice="keep one")


def _check_separator(path: Path, header: list[str], required: Sequence[str]) -> None:
    """Say so where the columns are there, but not between commas (raises DataError)."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if set(required) <= {trimmed(cell).strip('"') for cell in ",".join(header).split(separator)}:
            raise DataError(
                f"{PATH} has {name} between its columns", path=path, advice="save it with commas between them"
            )


def _row(path: Path, header: list[str], number: int, cells: list[str]) -> CsvRow:
    if len(cells) != len(header):
        raise DataError(path=path, row=number, expected=f"{len(header)} cells", found=len(cells))
    return CsvRow(number, dict(zip(header, map(trimmed, cells), strict=True)))


_LIKE_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def format_sheet(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table for people, as the bytes of a CSV file that a spreadsheet or a terminal may show.

    Its texts are shown as one line each, and never run as formulas; texts that are plain numbers stay
    numbers. What this program reads again comes from `format_table`, which keeps every text as it is.
    """
    return format_table(header, (list(map(_for_people, row)) for row in rows))


def _for_people(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = shown(cell)
    runs = text.startswith(_LIKE_A_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if runs else text


def format_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as the UTF-8 bytes of a CSV file; characters without an encoding are escaped."""
    return "".join(map(_line, [header, *rows])).encode("utf-8", errors="backslashreplace")


def _line(cells: Sequence[object]) -> str:
    line = io.StringIO(newline="")
    # With line ends of its own the module leaves a carriage return in a cell without quotes.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def relative_path(name: str) -> PurePosixPath:
    """The path that a table's file name means below its folder, in normal form.

    Raises:
        DataError: the name is empty, absolute, uses backslashes or climbs out with '..'.
    """
    path = PurePosixPath(name)
    if "\\" in name or path.is_absolute() or PureWindowsPath(name).drive:
        raise DataError(f"the file name {name!r} must be relative to its folder and use '/' between folders")
    if ".." in path.parts or not path.name:
        raise DataError(f"the file name {name!r} must name a file inside its folder")
    return path
