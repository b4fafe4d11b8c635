"""A grid over data sets that are one set planted at several shares, as a file to sweep and to change."""

import os
from collections.abc import Mapping
from pathlib import Path

from activmask.ground.errors import PATH, DataError
from activmask.ground.files import write_whole
from activmask.runs.toml_file import as_toml

GRID_FILE = "dose.toml"
SEEDS = 3
"""Of each cell, unless the sweep is told otherwise."""


def check_grid_place(path: Path, *, overwrite: bool = False) -> None:
    """Refuse to write a grid over another (raises DataError)."""
    if not overwrite and os.path.lexists(path):
        raise DataError(
            f"the grid {PATH} exists already",
            path=path,
            advice="choose another place or ask for overwrite",
            ways=("out", "overwrite"),
        )


def write_dose_grid(path: Path, shortcut: str, sets: Mapping[float, Path]) -> None:
    """Write the grid whose axis is the share.

    Args:
        path: of the TOML file; what is there is replaced.
        shortcut: what was planted.
        sets: by share, the data set's folder, as `train --data` takes it.

    Raises:
        DataError: the file system refuses.
    """
    grid = {
        "title": f"At which share is the {shortcut} read?",
        "seeds": SEEDS,
        "base": {"split_policy": "given", "model": "cnn"},
        "axes": {"share": {f"{share:g}": {"data": str(place)} for share, place in sets.items()}},
    }
    write_whole(path, as_toml(grid).encode())
