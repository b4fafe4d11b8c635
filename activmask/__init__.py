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
    class Diary(am.Callback):  # told of every step and epoch, and whatever else its methods are for
        def epoch(self, seed: int, row: dict[str, float]) -> None:
            print(row["epoch"], row["valid_auc"])

    [result] = am.train(config, seeds=[0], out=Path("run"), progress=Diary())

    checkpoint = am.load_checkpoint(result.folder / "best.safetensors")
    test: am.Samples = am.load_splits(config, seed=0)["test"]
    print(am.evaluate(checkpoint, test, seed=0).scores)  # AUC with its interval, accuracy
    heat = am.attribute(checkpoint.model, test.images, method="contrast")  # (16, 28, 28)
    found = am.audit(checkpoint, test.images, test.masks[:, 0], test.labels, without=["looks"])
    print(found.verdict)  # ... or anybody's model, on anybody's images: what is its score made of?
    print(am.score(heat, test.masks[:, 0]).rows[0])  # ... or anybody's maps, in the masks and by chance
    how = am.Preprocessing(mean=(0.5,), std=(0.5,))  # anybody's network, from images in [0, 1] on
    found = am.find_predictor(lambda x: x.mean((1, 2, 3)), test.images, preprocessing=how)
    print(found.predictor.predict(test.images).shape, found.notes)

    for cell in am.grid_cells(am.read_grid("table1"), settings={"epochs": 1}):
        print(cell.title, cell.config["actdiff"], cell.printed["test"])  # ... and am.train(cell.config, ...)
    runs = am.find_runs([Path("run")])
    print(am.summarise(runs).rows[0].title)  # CNN Actdiff, with its scores and the paper's
    am.write_report(runs, Path("report"))  # ... and all of it as a page
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activmask.auditing.audit import audit as audit
    from activmask.data.dataset import read_dataset as read_dataset
    from activmask.data.samples import Samples as Samples
    from activmask.data.sources.folder.prepare import prepare_folder as prepare_folder
    from activmask.data.sources.synthetic.drawing import draw_synthetic as draw_synthetic
    from activmask.data.sources.synthetic.prepare import make_synthetic as make_synthetic
    from activmask.data.sources.synthetic.spec import SyntheticSpec as SyntheticSpec
    from activmask.evaluation.evaluate import evaluate as evaluate
    from activmask.evaluation.map_scores import score as score
    from activmask.experiments.cells import grid_cells as grid_cells
    from activmask.experiments.grid import read_grid as read_grid
    from activmask.ground.errors import ActivmaskError as ActivmaskError
    from activmask.predictors.find import find_predictor as find_predictor
    from activmask.predictors.preprocessing import Preprocessing as Preprocessing
    from activmask.report.findings.summary import summarise as summarise
    from activmask.report.write import write_report as write_report
    from activmask.runs.checkpoint import load_checkpoint as load_checkpoint
    from activmask.runs.description import RunConfig as RunConfig
    from activmask.runs.making import make_config as make_config
    from activmask.runs.results import find_runs as find_runs
    from activmask.saliency.attribution import attribute as attribute
    from activmask.training.feed.sources import load_splits as load_splits
    from activmask.training.replicas.watcher import Callback as Callback
    from activmask.training.run import train as train

__version__ = "0.1.0"

_HOME = {
    "ActivmaskError": "activmask.ground.errors",
    "Callback": "activmask.training.replicas.watcher",
    "Preprocessing": "activmask.predictors.preprocessing",
    "RunConfig": "activmask.runs.description",
    "Samples": "activmask.data.samples",
    "SyntheticSpec": "activmask.data.sources.synthetic.spec",
    "attribute": "activmask.saliency.attribution",
    "audit": "activmask.auditing.audit",
    "draw_synthetic": "activmask.data.sources.synthetic.drawing",
    "evaluate": "activmask.evaluation.evaluate",
    "find_predictor": "activmask.predictors.find",
    "find_runs": "activmask.runs.results",
    "grid_cells": "activmask.experiments.cells",
    "load_checkpoint": "activmask.runs.checkpoint",
    "load_splits": "activmask.training.feed.sources",
    "make_config": "activmask.runs.making",
    "make_synthetic": "activmask.data.sources.synthetic.prepare",
    "prepare_folder": "activmask.data.sources.folder.prepare",
    "read_dataset": "activmask.data.dataset",
    "read_grid": "activmask.experiments.grid",
    "score": "activmask.evaluation.map_scores",
    "summarise": "activmask.report.findings.summary",
    "train": "activmask.training.run",
    "write_report": "activmask.report.write",
}
"""Where each public name is defined, which is looked for when it is first used."""

__all__ = list(_HOME)


def __dir__() -> list[str]:
    return ["__version__", *__all__]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'activmask' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
