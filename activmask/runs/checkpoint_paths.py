"""Which checkpoints a path means: a file, a seed's folder, a run, or a tree of runs."""

from dataclasses import dataclass
from pathlib import Path

from activmask.ground.errors import PATH, CheckpointError
from activmask.runs.folder import KEPT_FILES, METRICS_FILE, RUN_FILE, seed_of
from activmask.runs.seed_folders import Unreadable, seed_folders
from activmask.runs.selection import KeptEpoch


@dataclass(frozen=True, kw_only=True)
class FoundCheckpoints:
    """The checkpoints under a path, and what is missing beside them."""

    paths: list[Path]
    """By run and then by seed."""
    unreadable: tuple[Unreadable, ...] = ()
    """Seeds that should have one."""
    unfinished: tuple[Path, ...] = ()
    """Folders of seeds that were begun and have no result yet, with a checkpoint or without."""


def find_checkpoints(path: Path, epoch: KeptEpoch = "best") -> list[Path]:
    """The checkpoints under a path, by run and then by seed.

    Args:
        path: a checkpoint file, a folder `seed-<k>`, a run's folder that holds such folders, or any
            folder above.
        epoch: which of a seed's checkpoints a folder means.

    Raises:
        CheckpointError: nothing is there, or it holds no finished checkpoint.
    """
    return search_checkpoints(path, epoch).paths


def search_checkpoints(path: Path, epoch: KeptEpoch = "best") -> FoundCheckpoints:
    """As `find_checkpoints`, with the seeds that lack a checkpoint beside the others.

    Raises:
        CheckpointError: nothing is there, or it holds no finished checkpoint.
    """
    name = KEPT_FILES[epoch]
    if path.is_file():
        return FoundCheckpoints(paths=[path])
    if not path.exists():
        raise CheckpointError(
            f"{PATH} does not exist",
            path=path,
            advice="give a checkpoint file, a run's folder, or a folder of runs",
        )
    seeds, lost = seed_folders(path)
    if (path / name).is_file() and path not in seeds:
        return FoundCheckpoints(paths=[path / name])
    found = sorted((seed / name for seed in seeds if (seed / name).is_file()), key=_run_and_seed)
    if not found:
        raise CheckpointError(
            f"{PATH} holds no checkpoint: expected seed-<k>/{name} in it or below",
            path=path,
            advice="train first" if epoch != "other" else "runs trained with valid_iid have one",
        )
    finished = [seed for seed in seeds if (seed / METRICS_FILE).exists()]
    return FoundCheckpoints(
        paths=found,
        unreadable=(*lost, *(_without(seed, name) for seed in finished if seed / name not in found)),
        unfinished=tuple(seed for seed in seeds if (seed / RUN_FILE).exists() and seed not in finished),
    )


def _without(folder: Path, name: str) -> Unreadable:
    what = CheckpointError(f"{PATH} is finished and holds no {name}", path=folder)
    return Unreadable(folder=folder, error=what)


def run_folder(checkpoint: Path) -> Path | None:
    """The run that a checkpoint is one seed of, or None for a file that stands alone."""
    return None if seed_of(checkpoint.parent) is None else checkpoint.parent.parent


def _run_and_seed(checkpoint: Path) -> tuple[str, int, str]:
    seed = seed_of(checkpoint.parent)
    return str(checkpoint.parent.parent), -1 if seed is None else seed, checkpoint.parent.name
