"""Writing a file so that it exists whole or not at all."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from activmask.ground.claims import NOTES
from activmask.ground.refusals import refusals_told


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step that a power cut cannot split.

    Raises:
        DataError: the file system refuses; what was there is there still, and nothing else.
    """
    partial = partial_of(path)
    with refusals_told(path):
        try:
            with open(partial, "wb", opener=_never_through_links) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            # What refused to write may refuse to remove, too, and its first word counts.
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def remove_partial(path: Path) -> None:
    """Remove what a killed process left of writing `path`, which nobody else may be writing now."""
    partial = partial_of(path)
    if partial.is_file() or partial.is_symlink():
        partial.unlink()
        NOTES.warning("removed %s, left by a killed process", partial)


def _never_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def partial_of(path: Path) -> Path:
    """The hidden file in which `path` lies until it is whole."""
    return path.with_name(f".{path.name}.partial")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all.

    Raises:
        DataError: the file system refuses.
    """
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
