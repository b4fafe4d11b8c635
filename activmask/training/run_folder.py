"""What a finished or interrupted run left in its folder."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activmask.config import CONVNET_WIDTH, CONVNETS, FIELDS, RunConfig, default_of, make_config
from activmask.data.splits import SPLITS
from activmask.errors import ActivmaskError, CheckpointError

MEASURES = ("auc", "accuracy")
"""The scores of a split that every run has."""

METRICS_FILE = "metrics.json"
"""Written last: a seed's folder that has it is finished."""

RUN_FILE = "run.json"
"""The complete description, written first."""

HISTORY_FILE = "history.csv"
"""One row an epoch, replaced whole after each."""


def run_name(config: RunConfig) -> str:
    """A readable folder name made of what sets the run apart, for example `synthetic-resnet18-actdiff10`."""
    parts = [config.preset, config.model]
    if config.width != (CONVNET_WIDTH[config.preset] if config.model in CONVNETS else 64):
        parts[-1] += f"w{config.width}"
    weights = ("actdiff", "gradmask", "rrr", "adversarial", "cutout")
    parts += [f"{name}{getattr(config, name):g}" for name in weights if getattr(config, name)]
    forms = ("actdiff_norm", "actdiff_at", "gradmask_norm", "gradmask_target")
    chosen = [getattr(config, name) for name in forms]
    parts += [one for name, one in zip(forms, chosen, strict=True) if one != default_of(name, config.model)]
    parts += ["recon-masked"] if config.recon_masked else []
    parts += {"off": [], "train": ["classify-masked"], "all": ["classify-masked-all"]}[config.classify_masked]
    parts += ["classify-shuffled"] if config.classify_shuffled else []
    if config.masks < 1:
        parts.append(f"masks{config.masks:g}")
    if config.correlation != FIELDS["correlation"].default:
        parts.append(f"correlation{config.correlation:g}")
    return "-".join(parts)


def seed_folder(out: Path, seed: int) -> Path:
    """Where one seed's files lie."""
    return out / f"seed-{seed}"


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """The scores of a finished seed, or None where it is not finished.

    Returns:
        `best_epoch`, and `auc` and `accuracy` of `train`, `valid` and `test`; under `last` the same scores
        of the last epoch, which runs of older versions lack: see `last_scores`.

    Raises:
        CheckpointError: the file holds something else.
    """
    path = folder / METRICS_FILE
    if not path.is_file():
        return None
    metrics = _read_object(path)
    try:
        scored = [metrics, metrics["last"]] if "last" in metrics else [metrics]
        numbers = [metrics["best_epoch"], *(one[s][k] for one in scored for s in SPLITS for k in MEASURES)]
    except (KeyError, TypeError) as error:
        raise _damaged(path, f"lacks {error}") from error
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise _damaged(path, "a score is no finite number")
    return metrics


def last_scores(folder: Path, metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The scores of a finished seed's last epoch, as far as its folder holds them.

    Runs of older versions left the validation scores of that epoch in the history alone, and those
    of the training images where they were asked for.

    Args:
        folder: the seed's.
        metrics: what `read_metrics` found there.

    Returns:
        `auc` and `accuracy` by split; a split whose scores are not known is not in it.

    Raises:
        CheckpointError: the history is damaged.
    """
    if "last" in metrics:
        return {split: metrics["last"][split] for split in SPLITS}
    rows = read_history(folder) if (folder / HISTORY_FILE).is_file() else []
    row = rows[-1] if rows else {}
    if "epochs" in metrics and row.get("epoch") != metrics["epochs"] - 1:
        return {}
    return {
        split: {name: row[f"{split}_{name}"] for name in MEASURES}
        for split in SPLITS
        if all(f"{split}_{name}" in row for name in MEASURES)
    }


def read_written_config(folder: Path) -> RunConfig:
    """The description a seed's folder was written under.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = folder / RUN_FILE
    try:
        return make_config(**_read_object(path)["config"])
    except (KeyError, TypeError, ActivmaskError) as error:
        raise _damaged(path, str(error)) from error


def read_history(folder: Path) -> list[dict[str, float]]:
    """The rows of a seed's `history.csv`, one an epoch.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = folder / HISTORY_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise _damaged(path, str(error)) from error
    if not all(math.isfinite(value) for row in rows for value in row.values()):
        raise _damaged(path, "a value is no finite number")
    return rows


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(value, dict):
        raise _damaged(path, "no JSON object")
    return value


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is missing or damaged ({why}); overwrite the run or use another out folder"
    )
