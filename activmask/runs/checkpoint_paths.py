"""Which checkpoints a path means: a file, a seed's folder, a run, or a tree of runs."""

from pathlib import Path

from activmask.ground.errors import PATH, CheckpointError
from activmask.runs.folder import CHECKPOINT_FILES, SEED_FOLDERS, seed_of
from activmask.runs.selection import Epoch


def find_checkpoints(path: Path, epoch: Epoch = "best") -> list[Path]:
    """The checkpoints under a path, by run and then by seed.

    Args:
        path: a checkpoint file, a folder `seed-<k>`, a run's folder that holds such folders, or any
            folder above.
        epoch: which of a seed's two checkpoints a folder means.

    Raises:
        CheckpointError: nothing is there, or it holds no finished checkpoint.
    """
    name = CHECKPOINT_FILES[epoch]
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
    found = sorted(path.rglob(f"{SEED_FOLDERS}/{name}"), key=_run_and_seed)
    if not found:
        raise CheckpointError(
            f"{PATH} holds no checkpoint: expected seed-<k>/{name} in it or below",
            path=path,
            advice="train first",
        )
    return found


def run_folder(checkpoint: Path) -> Path | None:
    """The run that a checkpoint is one seed of, or None for a file that stands alone."""
    return None if seed_of(checkpoint.parent) is None else checkpoint.parent.parent


def _run_and_seed(checkpoint: Path) -> tuple[str, int, str]:
    seed = seed_of(checkpoint.parent)
    return str(checkpoint.parent.parent), -1 if seed is None else seed, checkpoint.parent.name
