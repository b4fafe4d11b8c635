"""Names in hand-made tables that mean the same, though their letters differ.

A space, a capital or a leading zero would make a new class, or put one patient into two splits.
"""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path, PurePosixPath

from activmask.data.files.images import SUFFIXES
from activmask.data.files.nifti_names import is_nifti
from activmask.ground.errors import PATH, DataError

MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "nat", "null"})
"""What tables write, in any case of letters, where they have no value."""

_SHOWN = 5
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,14}(?:e(?:0{1,2}|[+-][0-9]{1,2}))?"
    r"|(?:[0-9]{1,14}[.,][0-9]{0,14}|[.,][0-9]{1,14})(?:e[+-]?[0-9]{1,2})?)",
    re.ASCII,
)
"""Also with a decimal comma, and with a power of ten as programs write it; a bare '1e1' may be an
identifier in base 16."""
_GAP = re.compile(r"(?<![0-9]) | (?![0-9])", re.ASCII)
"""Between two digits a space keeps two numbers apart."""
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])", re.ASCII)


def trimmed(text: str) -> str:
    """The text without white space of any kind, and without invisible characters, at its ends."""
    if text.isascii() and text.isprintable():
        return text.strip()
    visible = [k for k, letter in enumerate(text) if not (letter.isspace() or _is_invisible(letter))]
    return text[visible[0] : visible[-1] + 1] if visible else ""


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.casefold() in MISSING


def likeness(text: str) -> str:
    """What two names that a reader would take for one have in common.

    Case, white space, invisible characters, Unicode's several ways to write a letter, and the
    form of a number ('01', '1', '1.0', '1,0', '1e0') make no difference.
    """
    if not (text.isascii() and text.isprintable()):
        letters = unicodedata.normalize("NFKC", text)
        text = "".join(letter for letter in letters if letter.isspace() or not _is_invisible(letter))
    folded = _GAP.sub("", unicodedata.normalize("NFKC", " ".join(text.split()).casefold()))
    if _NUMBER.fullmatch(folded):
        number = Decimal(folded.replace(",", "."))
        return f"{number.normalize() if number else Decimal(0):f}"
    return _LEADING_ZEROS.sub("", folded)


def names_alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in ways a reader would overlook; those of image files are left out."""
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        if not _is_file_name(name):
            alike.setdefault(likeness(name), []).append(name)
    return [group for group in alike.values() if len(group) > 1]


def refuse_likenesses(table: Path, column: str, cells: Iterable[tuple[int, str]]) -> None:
    """Refuse names of a column that differ only in ways a reader would overlook.

    Names of image files are left alone, because a file system tells them apart.

    Args:
        table: for the message.
        column: likewise.
        cells: (row number, name), trimmed.

    Raises:
        DataError: lists the names with their rows.
    """
    rows: dict[str, int] = {}
    for number, name in cells:
        rows.setdefault(name, number)
    groups = names_alike(rows)
    if not groups:
        return
    listed = "; ".join(" and ".join(f"{n!a} (row {rows[n]})" for n in names) for names in groups[:_SHOWN])
    more = f"; and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    raise DataError(
        f"names in the column {column} differ in case, spaces or the form of numbers alone: {listed}{more}",
        path=table,
        advice="write what is one in one way, and what is not in ways that differ more",
    )


def refuse_like_columns(table: Path, header: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a column that is nearly called like a known one, because it would be left unread.

    Raises:
        DataError: names both.
    """
    meant = {_letters(name): name for name in known}
    for name in header:
        close = meant.get(_letters(name), name)
        if close != name:
            raise DataError(
                f"{PATH} has a column {name!a}, which would not be read",
                path=table,
                advice=f"call it {close!r}, or something else if it is another thing",
            )


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]", "", likeness(name))


def _is_invisible(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cf", "Cc"}


def _is_file_name(name: str) -> bool:
    if "." not in name:
        return False
    return is_nifti(Path(name)) or PurePosixPath(name).suffix.lower() in (*SUFFIXES, ".dcm")
