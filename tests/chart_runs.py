"""Runs and measurements made up for the tests of charts, with numbers that are known."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activmask.evaluation.audit import Audit, AuditRow
from activmask.evaluation.evaluate import Evaluation, Localisation, LocalisationRow
from activmask.evaluation.localisation import METRICS
from activmask.evaluation.scores import ScoreReport
from activmask.report.findings.measure import Measured
from activmask.runs.folder import METRICS_FILE, seed_folder
from activmask.runs.making import make_config
from activmask.runs.results import Run

VERSIONS = ("full", "background shuffled", "ROI shuffled")


def chart_run(
    folder: Path,
    *,
    auc: Sequence[float] = (0.5,),
    accuracy: Sequence[float] | None = None,
    curves: Sequence[Sequence[float]] | None = None,
    best_epochs: Sequence[int] | None = None,
    **settings: Any,
) -> Run:
    """A finished run: a test AUC and a curve of valid AUC for every seed, written where it belongs."""
    config = make_config(**{"data": "synthetic", "model": "cnn", "width": 4, **settings})
    metrics = {}
    for seed, score in enumerate(auc):
        scores = {"auc": score, "accuracy": (accuracy or auc)[seed]}
        best = best_epochs[seed] if best_epochs else 0
        metrics[seed] = {"best_epoch": best, "train": scores, "valid": scores, "test": scores}
        curve = curves[seed] if curves else (score,)
        _write(seed_folder(folder, seed), metrics[seed], curve)
    return Run(folder=folder, config=config, metrics=metrics)


def _write(folder: Path, metrics: Mapping[str, Any], curve: Sequence[float]) -> None:
    folder.mkdir(parents=True)
    (folder / METRICS_FILE).write_text(json.dumps(metrics), encoding="utf-8")
    with (folder / "history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "valid_auc"])
        writer.writerows(enumerate(curve))


def measured(
    run: Run,
    *,
    inside: Sequence[float],
    chance: float = 0.2,
    audit: Mapping[str, Sequence[float]] | None = None,
) -> Measured:
    """A run whose seeds' attribution lies `inside` the masks, audited with the AUCs given by version."""
    evaluations = {
        seed: Evaluation(
            seed=seed,
            scores=_scores(run.metrics[seed]["test"]["auc"]),
            sites=(),
            audit=_audit([values[i] for values in audit.values()] if audit else None),
            localisation=_localisation(inside[i] if inside else None, chance),
        )
        for i, seed in enumerate(run.seeds)
    }
    return Measured(run=run, evaluations=evaluations)


def _scores(auc: float) -> ScoreReport:
    return ScoreReport(n=10, auc_kind="ROC AUC", auc=auc, interval=None, accuracy=auc, reason=None)


def _audit(values: Sequence[float] | None) -> Audit:
    rows = [
        AuditRow(images=name, auc=auc, accuracy=auc)
        for name, auc in zip(VERSIONS, values or (), strict=False)
    ]
    return Audit(
        n=10 if rows else 0,
        borrowed=0,
        reason=None if rows else "no image has a mask that covers a part of it",
        rows=tuple(rows),
        mask_area_auc=0.5 if rows else None,
        chance_distance=0.1 if rows else None,
        verdict=None,
    )


def _localisation(value: float | None, chance: float) -> Localisation:
    names = METRICS if value is not None else ()
    rows = tuple(LocalisationRow(metric=name, mean=value or 0.0, sd=0.1, chance=chance) for name in names)
    return Localisation(attribution="gradient", n=10, blank=0, rows=rows)
