"""Names of the files that a data set is written with."""

import re
from pathlib import PurePosixPath


def safe_name(path: PurePosixPath, taken: set[str]) -> str:
    """A file name made of the path's ASCII letters and digits, numbered where two would collide."""
    flat = re.sub(r"[^A-Za-z0-9.-]+", "_", str(path.with_suffix("")))
    base = flat.strip("._-")[:100] or "image"
    name, number = base, 1
    while name.casefold() in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name.casefold())
    return name
