"""Writing a file so that it exists whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from activmask.ground.claims import NOTES


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step that a power cut cannot split."""
    partial = _partial_of(path)
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def remove_partial(path: Path) -> None:
    """Remove what a killed process left of writing `path`, which nobody else may be writing now."""
    partial = _partial_of(path)
    if partial.is_file() and not partial.is_symlink():
        partial.unlink()
        NOTES.warning("removed %s, left by a killed process", partial)


def _partial_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
