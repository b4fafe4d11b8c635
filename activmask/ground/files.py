"""Writing a file so that it exists whole or not at all."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from activmask.ground.refusals import refusals_told


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step that a power cut cannot split.

    Raises:
        DataError: the file system refuses; what was there is there still, and nothing else.
    """
    partial = path.with_name(f".{path.name}.partial")
    with refusals_told(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            # What refused to write may refuse to remove, too, and its first word counts.
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all.

    Raises:
        DataError: the file system refuses.
    """
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
