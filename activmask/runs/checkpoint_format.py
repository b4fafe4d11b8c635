"""The format that checkpoints, states and `run.json` are written in, and who may read it."""

import re
from pathlib import Path

from activmask.ground.errors import PATH, CheckpointError

FORMAT = "activmask checkpoint 1"
FORMAT_WITH_LABELS = "activmask checkpoint 2"
"""Of networks whose labels do not exclude each other: earlier versions would take them for classes."""
_NEWEST = 2
_FORMAT = re.compile(r"activmask checkpoint (\d{1,9})", re.ASCII)


def refuse_newer(path: Path, written: object) -> None:
    """Refuse a file of a format that this version cannot know.

    Args:
        path: the file.
        written: what it says of itself; earlier versions named no format in some files.

    Raises:
        CheckpointError: the format is newer than this version, or none of its.
    """
    found = written.get("format") if isinstance(written, dict) else None
    number = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if found is None or (number and int(number[1]) <= _NEWEST):
        return
    raise CheckpointError(
        f"{PATH} is of a format that this version of activmask does not know",
        path=path,
        expected=f"{FORMAT_WITH_LABELS} or older",
        found=found,
        advice="update activmask",
    )
