"""Where a run goes that nobody gave a place."""

import re
from pathlib import Path

from activmask.data.dataset import read_card
from activmask.data.recipe import card_recipe
from activmask.data.settings import ARRAYS, IN_MEMORY
from activmask.data.sources.presets import source_of
from activmask.ground.errors import CheckpointError, DataError
from activmask.ground.places import real
from activmask.runs.description import RunConfig
from activmask.runs.folder import read_written, seed_of
from activmask.runs.names import run_name

RUNS = Path("runs")
"""The folder of runs, in the working folder."""


def usual_folder(config: RunConfig, runs: Path = RUNS) -> Path:
    """A folder by the run's name; where a run of other images has it, by that of the images too.

    A name tells what sets a run apart but for its images, so `runs/synthetic-resnet18` would be that of two
    data sets; the second is `runs/synthetic-resnet18-scans` if its folder is called `scans`. Where nobody
    chose a preset and the images are not of its source, they take its place: `runs/scans-resnet18`.

    Args:
        config: the run's description.
        runs: the folder of runs.
    """
    usual, place = runs / run_name(config), _place(config.source.data)
    images = re.sub(r"[^\w.]+", "_", Path(config.source.data).name).strip("._")
    there = _images_of(usual)
    # Runs of versions that named all folders alike go on where they are.
    if not images or there == place:
        return usual
    if _other_source(config):
        return runs / run_name(config, _called(config.source.data) or images)
    return usual if there is None else usual.with_name(f"{usual.name}-{images}")


def _other_source(config: RunConfig) -> bool:
    """Whether the images are not those of the preset, which nobody chose."""
    root = Path(config.source.data)
    if config.preset != RunConfig.preset or config.source.data in {IN_MEMORY, ARRAYS} or not root.is_dir():
        return False
    try:
        return card_recipe(read_card(root)).get("source") != source_of(config.preset)[0]
    except DataError:
        # Whoever trains on it is told of it there.
        return False


def _called(data: str) -> str:
    """What tells a data set's folder apart: its name, or that of the folder above one called `data`."""
    place = real(Path(data))
    name = place.parent.name if place.name == "data" else place.name
    return re.sub(r"[^\w.]+", "_", name).strip("._")


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
