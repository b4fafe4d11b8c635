"""Runs that together take every path of a training step."""

from pathlib import Path

from activmask.runs.making import make_config

OBJECTIVES = {
    "actdiff": {"model": "resnet18", "actdiff": 10.0},
    "gradmask": {"model": "cnn", "gradmask": 1.0, "eval_train": True},
    "reconstruct masked": {"model": "unet", "recon_masked": True, "actdiff": 1.0, "select": "accuracy"},
    "rrr": {"model": "cnn", "rrr": 1.0},
    "adversarial": {"model": "cnn", "adversarial": 1.0, "adversarial_steps": 2},
    "controls": {"model": "ae", "classify_shuffled": True, "cutout": 9, "select": "loss"},
    "classify masked": {"model": "cnn", "classify_masked": "all", "precision": "bf16"},
    "crop and flip": {"model": "cnn", "augment": "crop-flip", "image_size": 24, "actdiff": 1.0},
}
"""Together they take every path of a step."""


def small(crosses: Path, **settings):
    settings = {"model": "cnn", "width": 4, "epochs": 4, "lr": 1e-3, "batch_size": 12, **settings}
    return make_config(data=str(crosses), **settings)
