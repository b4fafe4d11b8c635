"""Run folders with made-up scores, for the tests of the summary and its formats."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activmask.runs.description import flat
from activmask.runs.making import make_config

PAPERS: dict[str, dict[str, Any]] = {
    "synthetic": {"data": "synthetic", "model": "cnn", "width": 16},
    "liver": {"preset": "liver", "model": "resnet18"},
    "xray": {"preset": "xray", "model": "resnet18", "data": "data/xray"},
}


def write_run(
    folder: Path,
    test_auc: Mapping[int, float],
    *,
    preset: str = "synthetic",
    unfinished: tuple[int, ...] = (),
    old: bool = False,
    described: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """One experiment whose seeds score these test AUCs at epoch 3, and 0.05 less, or 0, in the last, epoch 4.

    Accuracies lie at half their AUC; train AUC is 1 and 0.9, valid AUC 0.4 and 0.1. An old run has the
    last epoch's validation scores in its history alone. What is `described` stands in `run.json` too.
    """
    config = make_config(**{**PAPERS[preset], **settings})
    for seed in [*test_auc, *unfinished]:
        place = folder / f"seed-{seed}"
        place.mkdir(parents=True)
        _write_json(place / "run.json", {"config": flat(config), **(described or {})})
        _write_history(place)
    for seed, auc in test_auc.items():
        scores = {"train": 1.0, "valid": 0.4, "test": auc}
        last = {} if old else {"last": _halved({"train": 0.9, "valid": 0.1, "test": max(auc - 0.05, 0.0)})}
        _write_json(folder / f"seed-{seed}" / "metrics.json", {"best_epoch": 3, **_halved(scores), **last})
    return folder


def _halved(scores: Mapping[str, float]) -> dict[str, dict[str, float]]:
    return {split: {"auc": value, "accuracy": value / 2} for split, value in scores.items()}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_history(place: Path) -> None:
    with (place / "history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "valid_auc", "valid_accuracy"])
        writer.writerows([[epoch, 0.0, 0.0] for epoch in range(3)])
        writer.writerows([[3, 0.4, 0.2], [4, 0.1, 0.05]])
