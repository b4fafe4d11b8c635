"""Which columns of a table say whom an image shows and where it was made, whatever they are called."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from activmask.data.files.likeness import is_missing
from activmask.data.files.tables import CsvRow
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest

ROLES: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject", "patient", "case", "person", "participant", "individual"),
    "site": ("site", "hospital", "clinic", "centre", "center", "institution", "scanner"),
}
"""The two columns of a data set, and words that suggest that another column says the same."""

_ENDINGS = ("", "id", "no", "nr", "number", "name", "code", "key")
"""What may follow such a word, as in `patient_id`, `PatientID` and `InstitutionName`."""

_UNUSED = {
    "subject": "may say whom images show, but {is} not used as such, so one of them can be in train and test",
    "site": "may say where images come from, but {is} not used as such",
}


def with_roles(
    table: Path, rows: Sequence[CsvRow], chosen: Mapping[str, str | None], reserved: Collection[str] = ()
) -> list[CsvRow]:
    """The rows of a table, whose chosen columns are called subject and site.

    Args:
        table: for messages.
        rows: at least one.
        chosen: by role the column that has it; None leaves the table as it is.
        reserved: columns with a meaning of their own.

    Raises:
        UsageError: there is no such column, or it has a meaning of its own.
        DataError: the table has a column of the role's name too, which says something else.
    """
    taken = {role: column for role, column in chosen.items() if column is not None}
    for role, column in taken.items():
        _check_column(table, rows, role, column, reserved)
    return [replace(row, cells=_renamed(row.cells, taken)) for row in rows]


def _renamed(cells: Mapping[str, str], taken: Mapping[str, str]) -> dict[str, str]:
    rest = {name: text for name, text in cells.items() if name not in taken.values()}
    return rest | {role: cells[column] for role, column in taken.items()}


def _check_column(
    table: Path, rows: Sequence[CsvRow], role: str, column: str, reserved: Collection[str]
) -> None:
    header = rows[0].cells
    if column not in header:
        raise UsageError(
            f"{PATH} has no column {column!r}, which is to be the {role}; {nearest(column, header)}",
            path=table,
        )
    if column != role and column in reserved:
        raise UsageError(
            f"the column {column!r} of {PATH} has a meaning of its own and cannot be the {role}",
            path=table,
            advice="name another column",
        )
    for row in rows if role in header else ():
        if row[role] != row[column]:
            raise DataError(
                f"the column {role} says {row[role]!r}, but {column!r}, which is to be the {role}, says "
                f"{row[column]!r}",
                path=table,
                row=row.number,
                advice=f"remove the column that is not the {role}, or call it otherwise",
            )


def unused_columns(rows: Sequence[CsvRow], reserved: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """By role that no column has, those whose names suggest it and whose values repeat across rows.

    Args:
        rows: of the table.
        reserved: columns with a meaning of their own.
    """
    header = [name for name in rows[0].cells if name not in reserved]
    found = {
        role: tuple(name for name in header if suggests(role, name) and _repeats(rows, name))
        for role in ROLES
        if role not in rows[0].cells
    }
    return {role: names for role, names in found.items() if names}


def unused_note(role: str, columns: Sequence[str], way: str) -> str:
    """That columns may have a role but were not asked to, as a sentence.

    Args:
        role: subject or site.
        columns: at least one.
        way: how the first of them is given the role, in the words of whoever is told.
    """
    one = len(columns) == 1
    what = f"the column {columns[0]!r} repeats its values and"
    if not one:
        what = f"the columns {listed(map(repr, columns))} repeat their values and"
    why = _UNUSED[role].format(**{"is": "is" if one else "are"})
    return f"{what} {why}; {way} uses {'it' if one else repr(columns[0])}"


def suggests(role: str, name: str) -> bool:
    """Whether a column of that name seems to have a role."""
    letters = re.sub(r"[\W_]", "", name.casefold())
    return any(letters == word + ending for word in ROLES[role] for ending in _ENDINGS)


def _repeats(rows: Sequence[CsvRow], name: str) -> bool:
    values = [row[name] for row in rows if not is_missing(row[name])]
    return 1 < len(set(values)) < len(values)
