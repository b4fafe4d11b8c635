"""Where paths lead, however they are spelled."""

import os
from pathlib import Path


def real(path: Path) -> Path:
    """A path from the root of the file system without links, as far as it leads anywhere.

    As `Path.resolve`, but a link that leads to itself stays as it is, so that whoever opens it hears the
    system's refusal, where that method has an error that is none of the system's.
    """
    return Path(os.path.realpath(path))
