"""Where a run goes that nobody gave a place."""

import re
from pathlib import Path

from activmask.data.settings import ARRAYS, IN_MEMORY
from activmask.ground.errors import CheckpointError
from activmask.ground.places import real
from activmask.runs.description import RunConfig
from activmask.runs.folder import read_written, seed_of
from activmask.runs.names import run_name

RUNS = Path("runs")
"""The folder of runs, in the working folder."""


def usual_folder(config: RunConfig, runs: Path = RUNS) -> Path:
    """A folder by the run's name; where a run of other images has it, by that of the images too.

    A name tells what sets a run apart but for its images, so `runs/synthetic-resnet18` would be that of two
    data sets; the second is `runs/synthetic-resnet18-scans` if its folder is called `scans`.

    Args:
        config: the run's description.
        runs: the folder of runs.
    """
    usual = runs / run_name(config)
    images = re.sub(r"[^\w.]+", "_", Path(config.source.data).name).strip("._")
    there = _images_of(usual)
    return (
        usual
        if not images or there in {None, _place(config.source.data)}
        else usual.with_name(f"{usual.name}-{images}")
    )


def _images_of(folder: Path) -> str | None:
    """Where the images of a folder's run lie; None where that is not known, or there is no run."""
    seeds = sorted(one for one in folder.glob("seed-*") if seed_of(one) is not None)
    for seed in seeds:
        try:
            written = read_written(seed)
        except CheckpointError:
            # Whoever trains into the folder is told of it there.
            continue
        if written is not None:
            return written.data_path or _place(written.config.source.data)
    return None


def _place(data: str) -> str:
    return data if data in {IN_MEMORY, ARRAYS} else str(real(Path(data)))
