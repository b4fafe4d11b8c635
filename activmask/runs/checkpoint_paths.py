"""Which checkpoints a path means: a file, a seed's folder, a run, or a tree of runs."""

import re
from pathlib import Path
from typing import Literal

from activmask.ground.errors import PATH, CheckpointError


def find_checkpoints(path: Path, epoch: Literal["best", "last"] = "best") -> list[Path]:
    """The checkpoints under a path, by run and then by seed.

    Args:
        path: a checkpoint file, a folder `seed-<k>`, a run's folder that holds such folders, or any
            folder above.
        epoch: which of a seed's two checkpoints a folder means.

    Raises:
        CheckpointError: nothing is there, or it holds no finished checkpoint.
    """
    name = f"{epoch}.safetensors"
    if path.is_file():
        return [path]
    if not path.exists():
        raise CheckpointError(
            f"{PATH} does not exist",
            path=path,
            advice="give a checkpoint file, a run's folder, or a folder of runs",
        )
    if (path / name).is_file():
        return [path / name]
    found = sorted(path.rglob(f"seed-*/{name}"), key=_run_and_seed)
    if not found:
        raise CheckpointError(
            f"{PATH} holds no checkpoint: expected seed-<k>/{name} in it or below",
            path=path,
            advice="train first",
        )
    return found


def run_folder(checkpoint: Path) -> Path | None:
    """The run that a checkpoint is one seed of, or None for a file that stands alone."""
    return checkpoint.parent.parent if re.fullmatch(r"seed-\d+", checkpoint.parent.name) else None


def _run_and_seed(checkpoint: Path) -> tuple[str, int, str]:
    number = re.fullmatch(r"seed-(\d+)", checkpoint.parent.name)
    return str(checkpoint.parent.parent), int(number[1]) if number else -1, checkpoint.parent.name
