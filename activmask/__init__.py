"""activmask: does an image classifier look where the expert points, and does making it help?

The stages of the command line as functions; nothing heavy is imported before it is used.

    import activmask as am
    am.make_synthetic(am.SyntheticSpec(n=500), Path("data/synthetic"))
    config = am.make_config(model="resnet18", actdiff=10.0, width=16, lr=1e-3, epochs=10)
    [result] = am.train(config, out=Path("runs/actdiff"))
    checkpoint = am.load_checkpoint(result.folder / "best.safetensors")
    print(am.evaluate(checkpoint, am.load_splits(config, seed=0)["test"], seed=0))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from activmask.config import RunConfig, make_config
from activmask.errors import ActivmaskError

if TYPE_CHECKING:
    from activmask.data.dataset import read_dataset
    from activmask.data.folder import prepare_folder
    from activmask.data.samples import Samples
    from activmask.data.synthetic import SyntheticSpec, draw_synthetic
    from activmask.data.synthetic_dataset import make_synthetic
    from activmask.evaluation.evaluate import evaluate
    from activmask.saliency.methods import attribute
    from activmask.training.checkpoint import load_checkpoint
    from activmask.training.run import train
    from activmask.training.sources import load_splits

__version__ = "0.1.0"

__all__ = [
    "ActivmaskError",
    "RunConfig",
    "Samples",
    "SyntheticSpec",
    "attribute",
    "draw_synthetic",
    "evaluate",
    "load_checkpoint",
    "load_splits",
    "make_config",
    "make_synthetic",
    "prepare_folder",
    "read_dataset",
    "train",
]

_HOME = {
    "Samples": "activmask.data.samples",
    "SyntheticSpec": "activmask.data.synthetic",
    "attribute": "activmask.saliency.methods",
    "draw_synthetic": "activmask.data.synthetic",
    "evaluate": "activmask.evaluation.evaluate",
    "load_checkpoint": "activmask.training.checkpoint",
    "load_splits": "activmask.training.sources",
    "make_synthetic": "activmask.data.synthetic_dataset",
    "prepare_folder": "activmask.data.folder",
    "read_dataset": "activmask.data.dataset",
    "train": "activmask.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'activmask' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
