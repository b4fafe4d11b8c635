"""What a finished or interrupted run left in its folder."""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activmask.data.mask_shares import Presence
from activmask.data.splits import SPLITS
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError
from activmask.runs.checkpoint_format import refuse_newer
from activmask.runs.description import RunConfig
from activmask.runs.making import written_config
from activmask.runs.selection import Epoch

MEASURES = ("auc", "accuracy")
"""The scores of a split that every run has."""

METRICS_FILE = "metrics.json"
"""Written last: a seed's folder that has it is finished."""

RUN_FILE = "run.json"
"""The complete description, written first."""

PRESENCE = "mask_presence"
"""The key of the description that says how well the mere presence of a mask tells the class."""

HISTORY_FILE = "history.csv"
"""One row per epoch, replaced whole after each."""

SPLITS_FILE = "splits.csv"
"""Which images are in which split, see `manifest`."""

STATE_FILE = "state.safetensors"
"""All that resuming needs, replaced whole after each epoch."""

BEST_FILE = "best.safetensors"
"""The checkpoint of the epoch that was selected."""

LAST_FILE = "last.safetensors"
"""The checkpoint of the last epoch."""

CHECKPOINT_FILES: dict[Epoch, str] = {"best": BEST_FILE, "last": LAST_FILE}
"""The checkpoints of a seed by the epoch whose weights they hold."""

SEED_FILES = (
    RUN_FILE,
    HISTORY_FILE,
    SPLITS_FILE,
    STATE_FILE,
    BEST_FILE,
    LAST_FILE,
    METRICS_FILE,
)
"""All that a seed's folder holds."""

SEED_FOLDERS = "seed-*"
"""What the folders of seeds match in a search; `seed_of` tells which of them are."""


def seed_folder(out: Path, seed: int) -> Path:
    """Where one seed's files lie."""
    return out / f"seed-{seed}"


def seed_of(folder: Path) -> int | None:
    """The seed whose files lie in a folder, by its name; None for a folder of anything else."""
    number = re.fullmatch(r"seed-(\d+)", folder.name)
    return int(number[1]) if number else None


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


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a seed's folder says of the run that was begun in it."""

    config: RunConfig
    data_path: str = ""
    """The data set's folder from the root of the file system; empty if drawn in memory, or not written."""
    data_images: int = 0
    """Images that the data set held; 0 from earlier versions."""
    split_sha256: dict[str, str] = field(default_factory=dict)
    """Digest of each split; empty from earlier versions."""
    image_counts: dict[str, int] = field(default_factory=dict)
    """Images of each split."""


def read_written(folder: Path) -> Written | None:
    """What a seed's folder was written under, or None where it says nothing.

    Raises:
        CheckpointError: the file is damaged, or of a later version.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    found = _read_object(path)
    refuse_newer(path, found)
    kinds = {"data_path": str, "data_images": int, "split_sha256": dict, "images": dict}
    try:
        for name, kind in kinds.items():
            if name in found and not isinstance(found[name], kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        return Written(
            config=written_config(found["config"]),
            data_path=found.get("data_path", ""),
            data_images=found.get("data_images", 0),
            split_sha256=found.get("split_sha256", {}),
            image_counts=found.get("images", {}),
        )
    except (KeyError, TypeError, ActivmaskError) as error:
        raise _damaged(path, str(error)) from error


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
    written = read_written(folder)
    if written is None:
        raise _damaged(folder / RUN_FILE, "there is no such file")
    return written.config


def read_facts(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Some entries of the description a seed's folder was written under, as they stand there.

    Raises:
        CheckpointError: the description is missing or damaged, or lacks one of them.
    """
    path = folder / RUN_FILE
    found = _read_object(path)
    try:
        return {name: found[name] for name in names}
    except KeyError as error:
        raise _damaged(path, f"lacks {error}") from error


def read_presence(folder: Path) -> Presence | None:
    """How well a mask's presence told the class of a seed's training images.

    Returns:
        None where an earlier version, which did not record it, wrote the folder.

    Raises:
        CheckpointError: the description is missing or damaged.
    """
    path = folder / RUN_FILE
    written = _read_object(path).get(PRESENCE)
    try:
        return None if written is None else Presence(**written)
    except TypeError as error:
        raise _damaged(path, str(error)) from error


def read_history(folder: Path) -> list[dict[str, float]]:
    """The rows of a seed's `history.csv`, one per epoch.

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
        f"{PATH} is missing or damaged ({why})",
        path=path,
        advice="overwrite the run or use another out folder",
    )
