"""What a finished or interrupted run left in its folder."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activmask.data.mask_shares import Presence
from activmask.data.splits import EVERY_SPLIT, SPLITS
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError
from activmask.runs.checkpoint_format import refuse_newer
from activmask.runs.description import RunConfig
from activmask.runs.entries import BENCHMARK, MEASURES, PRESENT, RUN, wrong_metrics
from activmask.runs.making import written_config
from activmask.runs.searched import SEARCHED, Searched, searched_from
from activmask.runs.selection import Epoch, KeptEpoch
from activmask.runs.written_values import is_number, what_is_wrong

METRICS_FILE = "metrics.json"
"""Written last: a seed's folder that has it is finished."""

RUN_FILE = "run.json"
"""The complete description, written first."""

PRESENCE = "mask_presence"
"""The key of the description that says how well the mere presence of a mask tells the class."""

SCORE = "valid_auc"
"""The column of the history that every version writes."""

HISTORY_FILE = "history.csv"
"""One row per epoch, replaced whole after each."""

SPLITS_FILE = "splits.csv"
"""Which images are in which split, see `manifest`."""

STATE_FILE = "state.safetensors"
"""All that resuming needs, replaced whole after each epoch."""

BEST_FILE = "best.safetensors"
"""The checkpoint of the epoch that was selected."""

OTHER_FILE = "best-other.safetensors"
"""The checkpoint of the epoch that is best on the validation split that did not choose, of a run with two."""

LAST_FILE = "last.safetensors"
"""The checkpoint of the last epoch."""

FILES = (
    SPLITS_FILE,
    RUN_FILE,
    STATE_FILE,
    BEST_FILE,
    HISTORY_FILE,
    LAST_FILE,
    METRICS_FILE,
)
"""What a seed's folder consists of, in the order in which it is written.

The first two are written before training, the next three after each epoch, the last two at the end. Each
state is enough to write whatever comes after it, so a death between any two loses nothing.
"""

EVALUATIONS_FILE = "evaluations.json"
"""What evaluations of its checkpoints came to; whoever evaluates writes it, and it goes with the run."""

CHECKPOINT_FILES: dict[Epoch, str] = {"best": BEST_FILE, "last": LAST_FILE}
"""The checkpoints of a seed by the epoch whose weights they hold."""

KEPT_FILES: dict[KeptEpoch, str] = {"best": BEST_FILE, "last": LAST_FILE, "other": OTHER_FILE}
"""The same with those that a run with two validation splits has besides."""

OF_SOME = (EVALUATIONS_FILE, OTHER_FILE)
"""Files that go with a run and that not every run has."""


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
        of the last epoch, which runs of older versions lack: see `last_scores`; and under `other`, of a run
        with two validation splits, those of the best epoch on the split that did not choose, as `selected_on`
        says.

    Raises:
        CheckpointError: the file holds something else.
    """
    path = folder / METRICS_FILE
    if not path.is_file():
        return None
    metrics = _read_object(path)
    if wrong := wrong_metrics(metrics):
        raise _damaged(path, wrong)
    _check_seed(path, metrics)
    return metrics


def _check_seed(path: Path, found: Mapping[str, Any]) -> None:
    """Refuse a file of another seed than its folder is called by (raises CheckpointError)."""
    seed = seed_of(path.parent)
    if seed is None or found.get("seed", seed) == seed:
        return
    raise CheckpointError(
        f"{PATH} is of seed {found['seed']}, its folder of seed {seed}",
        path=path,
        advice="call each seed's folder by its own seed, and keep every file in its own",
    )


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
    run_sha256: str = ""
    """Which run it is, see `identity.run_digest`; empty from earlier versions."""
    built_from: dict[str, str] = field(default_factory=dict)
    """SHA-256 of what the network was built from besides the program."""
    source: str = ""
    """Of its images, as the data set's card calls it; empty where nothing tells."""
    benchmark: dict[str, Any] = field(default_factory=dict)
    """How the synthetic benchmark was drawn; empty of other data, and from earlier versions."""
    searched: Searched | None = None
    """The search that chose or tries its settings; None where none does."""


def read_written(folder: Path) -> Written | None:
    """What a seed's folder was written under, or None where it says nothing.

    Raises:
        CheckpointError: the file is damaged, or of a later version.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    found = _read_run(folder)
    try:
        return Written(
            config=written_config(found["config"]),
            data_path=found.get("data_path", ""),
            data_images=found.get("data_images", 0),
            split_sha256=found.get("split_sha256", {}),
            image_counts=found.get("images", {}),
            run_sha256=found.get("run_sha256", ""),
            built_from=found.get("built_from", {}),
            source=str(found.get("recipe", {}).get("source", "")),
            benchmark=found.get(BENCHMARK, {}),
            searched=searched_from(found.get(SEARCHED)),
        )
    except ActivmaskError as error:
        raise _damaged(path, str(error)) from error


def _read_run(folder: Path, needed: Sequence[str] = ("config",)) -> dict[str, Any]:
    path = folder / RUN_FILE
    found = _read_object(path)
    refuse_newer(path, found)
    if wrong := what_is_wrong(found, RUN, needed):
        raise _damaged(path, wrong)
    _check_seed(path, found)
    return found


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
        return {split: metrics["last"][split] for split in EVERY_SPLIT if split in metrics["last"]}
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
    found = _read_run(folder, names)
    return {name: found[name] for name in names}


def read_presence(folder: Path) -> Presence | None:
    """How well a mask's presence told the class of a seed's training images.

    Returns:
        None where an earlier version, which did not record it, wrote the folder.

    Raises:
        CheckpointError: the description is missing or damaged.
    """
    written = _read_run(folder, ()).get(PRESENCE)
    if written is None:
        return None
    if not isinstance(written, dict) or written.keys() != PRESENT.keys() or what_is_wrong(written, PRESENT):
        raise _damaged(folder / RUN_FILE, f"its '{PRESENCE}' is no AUC and its distance from chance")
    return Presence(**written)


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
    if not all(is_number(value) for row in rows for value in row.values()):
        raise _damaged(path, "a value is no finite number")
    return rows


def whole_history(folder: Path, metrics: Mapping[str, Any]) -> list[dict[str, float]]:
    """The rows of a finished seed's history, as many as the epochs that its metrics tell of.

    Raises:
        CheckpointError: it is missing or damaged, or ends before, as an earlier version could leave it.
    """
    rows = read_history(folder)
    numbered = [row.get("epoch") for row in rows] == list(range(len(rows)))
    if not rows or ("epochs" in metrics and not (numbered and len(rows) == metrics["epochs"])):
        expected = f"{metrics['epochs']} epochs from 0 on" if "epochs" in metrics else "the epochs from 0 on"
        raise _damaged(folder / HISTORY_FILE, f"it holds {len(rows)} rows, of {expected}")
    if SCORE not in rows[0]:
        raise _damaged(folder / HISTORY_FILE, f"it has no column {SCORE}")
    return rows


def check_whole(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Refuse a finished seed of which something is missing, as an earlier version could leave it.

    Raises:
        CheckpointError: says what.
    """
    # Images that were drawn in memory have no list.
    listed = (SPLITS_FILE,) if _read_run(folder).get("data_path") else ()
    for name in (*listed, *CHECKPOINT_FILES.values(), *([OTHER_FILE] if "other" in metrics else [])):
        if not (folder / name).is_file():
            raise _damaged(folder / name, "there is no such file")
    whole_history(folder, metrics)


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
        advice=f"resume its run if {STATE_FILE} is there, or train it anew",
    )
