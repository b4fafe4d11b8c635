"""activmask: does an image classifier look where the expert points, and does making it help?

The stages of the command line as functions; nothing heavy is imported before it is used. Every
name once, from images to numbers:

    from pathlib import Path
    import activmask as am

    spec = am.SyntheticSpec(n=32, valid=16, test=16)  # the benchmark to draw
    arrays = am.draw_synthetic(spec)["train"].images  # ... as arrays, bool (32, 28, 28)
    am.make_synthetic(spec, Path("crosses"))  # ... as a data set on disk
    am.prepare_folder(Path("crosses"), Path("crosses/metadata.csv"), Path("own"), masks=Path("crosses"))
    labels = am.read_dataset(Path("own")).labels  # checked, pixels still on disk

    try:
        am.make_config(model="resnet18", recon=1.0)
    except am.ActivmaskError as error:
        print(error)  # resnet18 has no decoder, so it cannot reconstruct; ...
    config: am.RunConfig = am.make_config(data="crosses", model="cnn", actdiff=1.0, epochs=1)
    [result] = am.train(config, seeds=[0], out=Path("run"))

    checkpoint = am.load_checkpoint(result.folder / "best.safetensors")
    test: am.Samples = am.load_splits(config, seed=0)["test"]
    print(am.evaluate(checkpoint, test, seed=0).scores)  # AUC with its interval, accuracy
    heat = am.attribute(checkpoint.model, test.images, method="contrast")  # (16, 28, 28)

    for cell in am.grid_cells(am.read_grid("table1"), settings={"epochs": 1}):
        print(cell.title, cell.config["actdiff"], cell.printed["test"])  # ... and am.train(cell.config, ...)
    runs = am.find_runs([Path("run")])
    print(am.summarise(runs).rows[0].title)  # CNN Actdiff, with its scores and the paper's
    am.write_report(runs, Path("report"))  # ... and all of it as a page
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from activmask.ground.errors import ActivmaskError
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config

if TYPE_CHECKING:
    from activmask.data.dataset import read_dataset
    from activmask.data.samples import Samples
    from activmask.data.sources.folder.prepare import prepare_folder
    from activmask.data.sources.synthetic.drawing import SyntheticSpec, draw_synthetic
    from activmask.data.sources.synthetic.prepare import make_synthetic
    from activmask.evaluation.evaluate import evaluate
    from activmask.experiments.grid import grid_cells, read_grid
    from activmask.report.findings.summary import summarise
    from activmask.report.write import write_report
    from activmask.runs.checkpoint import load_checkpoint
    from activmask.runs.results import find_runs
    from activmask.saliency.attribution import attribute
    from activmask.training.feed.sources import load_splits
    from activmask.training.run import train

__version__ = "0.1.0"

__all__ = [
    "ActivmaskError",
    "RunConfig",
    "Samples",
    "SyntheticSpec",
    "attribute",
    "draw_synthetic",
    "evaluate",
    "find_runs",
    "grid_cells",
    "load_checkpoint",
    "load_splits",
    "make_config",
    "make_synthetic",
    "prepare_folder",
    "read_dataset",
    "read_grid",
    "summarise",
    "train",
    "write_report",
]

_HOME = {
    "Samples": "activmask.data.samples",
    "SyntheticSpec": "activmask.data.sources.synthetic.drawing",
    "attribute": "activmask.saliency.attribution",
    "draw_synthetic": "activmask.data.sources.synthetic.drawing",
    "evaluate": "activmask.evaluation.evaluate",
    "find_runs": "activmask.runs.results",
    "grid_cells": "activmask.experiments.grid",
    "load_checkpoint": "activmask.runs.checkpoint",
    "load_splits": "activmask.training.feed.sources",
    "make_synthetic": "activmask.data.sources.synthetic.prepare",
    "prepare_folder": "activmask.data.sources.folder.prepare",
    "read_dataset": "activmask.data.dataset",
    "read_grid": "activmask.experiments.grid",
    "summarise": "activmask.report.findings.summary",
    "train": "activmask.training.run",
    "write_report": "activmask.report.write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'activmask' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
