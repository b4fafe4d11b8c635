"""Tiny trained runs for the tests of the report."""

from pathlib import Path

from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.runs.making import make_config
from activmask.training.run import train

METHODS: dict[str, dict[str, object]] = {
    "classify": {},
    "actdiff": {"actdiff": 10.0},
    "gradmask": {"gradmask": 10.0},
}
_QUICK = {"model": "cnn", "width": 4, "lr": 1e-3, "batch_size": 16, "device": "cpu", "threads": 1}


def train_runs(folder: Path, *, seeds: tuple[int, ...] = (0, 1), epochs: int = 2) -> Path:
    """Train a small network by three methods on a few images, which lie in `folder/data/synthetic`.

    The data set has the name and preset of the paper's, so that its printed values belong to it.
    """
    data = folder / "data" / "synthetic"
    make_synthetic(SyntheticSpec(n=48, valid=16, test=16, seed=3), data)
    for name, method in METHODS.items():
        config = make_config(**_QUICK, **method, data=str(data), epochs=epochs)
        train(config, seeds, folder / "runs" / name)
    return folder / "runs"
