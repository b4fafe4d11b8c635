"""Runs that together take every path of a training step."""

from pathlib import Path

import pytest
from objective_settings import OBJECTIVES

from activmask.runs.making import make_config

MORE: dict[str, dict[str, object]] = {
    "batch norm": {},
    "gradmask": {"eval_train": True},
    "reconstruct masked": {"actdiff": 1.0, "select": "accuracy"},
    "rrr": {},
    "adversarial": {},
    "classify shuffled": {"model": "ae", "cutout": 9, "select": "loss"},
    "classify masked everywhere": {"precision": "bf16"},
    "crop and flip": {},
    "practice": {"model": "resnet18"},
    "drawn alike": {"lr": 1e-2},
}
RECORDED = [pytest.param({**OBJECTIVES[name], **more}, id=name) for name, more in MORE.items()]
"""Together they take every path of a step."""


def small(crosses: Path, **settings):
    """On the CPU, where the same steps give the same bits, also where there is a CUDA device."""
    settings = {
        "device": "cpu",
        "model": "cnn",
        "width": 4,
        "epochs": 4,
        "lr": 1e-3,
        "batch_size": 12,
        **settings,
    }
    return make_config(data=str(crosses), **settings)
