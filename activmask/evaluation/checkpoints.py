"""Which checkpoints a path means: a file, a seed's folder, a run, or a tree of runs."""

import re
from pathlib import Path

from activmask.errors import CheckpointError

BEST = "best.safetensors"


def find_checkpoints(path: Path) -> list[Path]:
    """The best checkpoints under a path, by run and then by seed.

    Args:
        path: a checkpoint file, a folder `seed-<k>`, a run's folder that holds such folders, or any
            folder above.

    Raises:
        CheckpointError: nothing is there, or it holds no finished checkpoint.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist; give a checkpoint file, a run's folder, or a folder of runs"
        )
    if (path / BEST).is_file():
        return [path / BEST]
    found = sorted(path.rglob(f"seed-*/{BEST}"), key=_run_and_seed)
    if not found:
        raise CheckpointError(
            f"{path} holds no checkpoint: expected seed-<k>/{BEST} in it or below; train first"
        )
    return found


def run_folder(checkpoint: Path) -> Path | None:
    """The run that a checkpoint is one seed of, or None for a file that stands alone."""
    return checkpoint.parent.parent if re.fullmatch(r"seed-\d+", checkpoint.parent.name) else None


def _run_and_seed(checkpoint: Path) -> tuple[str, int, str]:
    number = re.fullmatch(r"seed-(\d+)", checkpoint.parent.name)
    return str(checkpoint.parent.parent), int(number[1]) if number else -1, checkpoint.parent.name
