"""Studies made up for the tests: runs with real settings, and numbers drawn from a known model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from chart_runs import measured

from activmask.evaluation.answers import Answers
from activmask.report.findings.measure import Measured
from activmask.runs.making import make_config
from activmask.runs.results import Run

ARMS: tuple[dict[str, Any], ...] = (
    {},
    *({"actdiff": weight} for weight in (0.1, 1.0, 10.0)),
    *({"actdiff": weight, "train_masks": "random"} for weight in (0.1, 1.0, 10.0)),
    *({"gradmask": weight} for weight in (0.1, 1.0)),
    *({"gradmask": weight, "train_masks": "random"} for weight in (0.1, 1.0)),
    {"cutout": 8},
)

Drawn = tuple[float, float, float]
"""The share of the attribution inside, the training AUC, the test AUC."""


def study_runs(
    draw: Callable[[Mapping[str, Any], np.random.Generator], Drawn],
    *,
    data: tuple[str, ...] = ("crosses", "digits"),
    arms: tuple[dict[str, Any], ...] = ARMS,
    seeds: int = 4,
    seed: int = 0,
) -> list[Measured]:
    """Every arm on every data set: what each network looks at and scores is drawn from its settings."""
    rng = np.random.default_rng(seed)
    found = []
    for name in data:
        for number, settings in enumerate(arms):
            values = np.clip([draw(settings, rng) for _ in range(seeds)], 0, 1)
            config = make_config(data=f"data/{name}", model="cnn", width=4, **settings)
            metrics = {
                k: {
                    "best_epoch": 0,
                    "train": {"auc": train, "accuracy": 0.5},
                    "valid": {"auc": 0.5, "accuracy": 0.5},
                    "test": {"auc": test, "accuracy": 0.5},
                }
                for k, (_, train, test) in enumerate(values.tolist())
            }
            run = Run(folder=Path(f"runs/{name}-{number}"), config=config, metrics=metrics)
            one = measured(run, inside=values[:, 0].tolist())
            answers = {
                k: Answers(
                    class_names=("0", "1"), confusion=(), roc=None, bins=(), picks=(), moved=1 - inside
                )
                for k, inside in enumerate(values[:, 0].tolist())
            }
            found.append(Measured(run=run, evaluations=one.evaluations, answers=answers))
    return found


def where_matters(settings: Mapping[str, Any], rng: np.random.Generator) -> Drawn:
    """The masks of the data draw the attribution inside, and the score follows the attribution."""
    given = bool(settings) and "cutout" not in settings and "train_masks" not in settings
    inside = (0.55 if given else 0.3) + 0.05 * rng.normal()
    return inside, 0.9 + 0.02 * rng.normal(), 0.2 + 0.9 * inside + 0.04 * rng.normal()


def nothing_matters(settings: Mapping[str, Any], rng: np.random.Generator) -> Drawn:
    """The masks of the data draw the attribution inside, and the score has nothing to do with it."""
    inside, known, _ = where_matters(settings, rng)
    return inside, known, 0.6 + 0.1 * rng.normal()


def disturbance_matters(settings: Mapping[str, Any], rng: np.random.Generator) -> Drawn:
    """Whatever disturbs training raises the score, wherever it does."""
    inside, known, _ = where_matters(settings, rng)
    return inside, known, (0.8 if settings else 0.5) + 0.04 * rng.normal()
