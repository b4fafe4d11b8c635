"""What the commands that prepare data sets print alike."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .console import out
from .tables import plain

if TYPE_CHECKING:
    from activmask.data.duplicates import Duplicates

_SHOWN = 10


def print_skipped(skipped: Sequence[tuple[str, str]], data: Path) -> None:
    """The first few (file name, reason) of what was left out, and where all of them stand."""
    for name, reason in skipped[:_SHOWN]:
        out.print(plain(f"skipped {name}: {reason}"))
    if skipped:
        out.print(plain(f"{len(skipped)} skipped in all, listed in {data / 'skipped.csv'}"))


def print_duplicates(found: "Duplicates") -> None:
    """Which pictures occur under several subjects, if any do."""
    for sentence in found.sentences():
        out.print(plain(sentence))


def print_next(data: Path, before: str, after: str = "") -> None:
    """The command that trains on the data set, its own flags on both sides of the folder's."""
    words = ["next: activmask train", before, f"--data {shlex.quote(str(data))}", after]
    out.print(plain(" ".join(word for word in words if word)))
