"""Paths for libraries that know UTF-8 alone: a file system's names are bytes, and any bytes will do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def spelled_plainly(path: Path) -> Iterator[Path]:
    """A path of plain characters to an existing file, as long as the context lasts (raises OSError)."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        # POSIX systems list a process's open files by their numbers.
        with path.open("rb") as file:
            yield Path(f"/dev/fd/{file.fileno()}")
        return
    yield path


def as_utf8(text: str) -> bytes:
    """A text as it is written: bytes of file names that are no UTF-8 are told by their codes."""
    return text.encode(errors="backslashreplace")
