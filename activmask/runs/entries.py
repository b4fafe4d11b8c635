"""What the entries of a run's JSON files are: of a description, wherever it stands, and of the metrics."""

from collections.abc import Mapping
from typing import Any

from activmask.data.settings import IID
from activmask.data.splits import EVERY_SPLIT, SPLITS
from activmask.runs.description import WORST_GROUP
from activmask.runs.searched import SEARCHED, is_searched
from activmask.runs.written_values import (
    is_count,
    is_flag,
    is_mapping,
    is_number,
    is_positive,
    is_sha256,
    is_sha256_or_empty,
    is_share,
    is_text,
    list_of,
    mapping_to,
    what_is_wrong,
)

MEASURES = ("auc", "accuracy")
"""The scores of a split that every run has."""

GROUPS = "groups"
"""The key of the metrics under which the scores of groups stand, where images are in groups."""

BENCHMARK = "benchmark"
"""The key, in `run.json`, of how the synthetic benchmark was drawn that a run trained on."""

AUC_INTERVAL = "auc_interval"
"""The key, in the scores of the test images, of the 95 % interval of a mean AUC over several labels."""

ALWAYS = {
    "config": is_mapping,
    "seed": is_count,
    "epoch": is_count,
    "image_size": is_positive,
    "channels": is_positive,
    "classes": is_positive,
    "dataset_name": is_text,
}
"""Of every description in a checkpoint or a state."""

DESCRIPTION = {
    **ALWAYS,
    "data_path": is_text,
    "data_images": is_count,
    "class_names": list_of(is_text),
    "recipe": is_mapping,
    "split_sha256": mapping_to(is_sha256, EVERY_SPLIT),
    "run_sha256": is_sha256_or_empty,
    "built_from": mapping_to(is_sha256),
    "multi_label": is_flag,
}
"""And what earlier versions did not write yet."""

RUN = {
    **DESCRIPTION,
    "device": is_text,
    "images": mapping_to(is_count, EVERY_SPLIT),
    "versions": mapping_to(is_text),
    SEARCHED: is_searched,
    BENCHMARK: mapping_to(lambda value: value is None or is_flag(value) or is_number(value)),
}
"""Of `run.json`, as far as anybody reads it."""

PRESENT = {"auc": is_share, "chance_distance": is_number}
"""Of what it says of the presence of masks."""

_METRICS = {"seed": is_count, "best_epoch": is_count, "epochs": is_positive, "last": is_mapping}
_GROUPS = {"by": is_text, "among": is_count, "chance": is_share}
_GROUP = {
    "label": is_count,
    "value": is_text,
    "n": is_positive,
    **dict.fromkeys(("accuracy", "low", "high"), is_share),
}
_INTERVAL = {
    **dict.fromkeys(("low", "high"), lambda value: value is None or is_share(value)),
    "redrawn": is_count,
}


def _is_interval(value: Any) -> bool:
    if not is_mapping(value) or what_is_wrong(value, _INTERVAL, ("low", "high")):
        return False
    return (value["low"] is None) == (value["high"] is None)


_SCORES = {**dict.fromkeys((*MEASURES, WORST_GROUP), is_share), "loss": is_number, AUC_INTERVAL: _is_interval}


def wrong_metrics(metrics: Mapping[str, Any]) -> str:
    """A clause on the first entry of `metrics.json` that is no such value; empty if all are well."""
    wrong = what_is_wrong(metrics, _METRICS, ("best_epoch",)) or _wrong_scores(metrics)
    wrong = wrong or _wrong_scores(metrics.get("last", metrics)) or _wrong_other(metrics)
    wrong = wrong or _wrong_groups(metrics.get(GROUPS, {}))
    if wrong or metrics["best_epoch"] < metrics.get("epochs", metrics["best_epoch"] + 1):
        return wrong
    return f"its best epoch is {metrics['best_epoch']}, of {metrics['epochs']} from 0 on"


def _wrong_other(metrics: Mapping[str, Any]) -> str:
    """A clause on what is wrong with the scores that another validation split would have chosen."""
    other = metrics.get("other", metrics)
    if not is_mapping(other):
        return "its 'other' is no mapping"
    checks = {"best_epoch": is_count, "selected_on": lambda value: value in {"valid", IID}}
    wrong = what_is_wrong(other, checks, ("best_epoch",)) or _wrong_scores(other)
    if not wrong and other["best_epoch"] >= metrics.get("epochs", other["best_epoch"] + 1):
        return f"the other best epoch is {other['best_epoch']}, of {metrics['epochs']} from 0 on"
    return wrong


def _wrong_groups(epochs: Any) -> str:
    """What is wrong with the scores of groups, by epoch and split, which few runs have."""
    if not isinstance(epochs, dict) or not all(isinstance(splits, dict) for splits in epochs.values()):
        return f"'{GROUPS}' is no object of epochs and splits"
    for splits in epochs.values():
        for found in splits.values():
            worst = found.get("worst") if isinstance(found, dict) else False
            if worst is not None and (
                not isinstance(worst, dict)
                or what_is_wrong(found, _GROUPS, _GROUPS)
                or what_is_wrong(worst, _GROUP, _GROUP)
            ):
                return f"'{GROUPS}' holds a worst group that is none"
    return ""


def _wrong_scores(metrics: Mapping[str, Any]) -> str:
    for split in (*SPLITS, *([IID] if IID in metrics else [])):
        if not isinstance(metrics.get(split), dict):
            return f"lacks the scores of '{split}'"
        if wrong := what_is_wrong(metrics[split], _SCORES, MEASURES):
            return f"{wrong}, of {split}"
    return ""
