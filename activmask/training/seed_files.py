"""The files of a seed's folder before its first epoch and after its last, in the order of `folder.FILES`."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activmask.data.groups import grouped
from activmask.data.multi_label import is_multi_label
from activmask.data.settings import IN_MEMORY
from activmask.ground.errors import CheckpointError
from activmask.ground.files import write_json, write_whole
from activmask.ground.refusals import make_folder
from activmask.machine.beside import worked_on
from activmask.models.build import load_plain_weights, plain_weights
from activmask.models.library_names import library_of
from activmask.runs.checkpoint import save_checkpoint
from activmask.runs.clearing import clear
from activmask.runs.entries import AUC_INTERVAL, BENCHMARK, GROUPS
from activmask.runs.folder import LAST_FILE, METRICS_FILE, RUN_FILE, SPLITS_FILE, read_written
from activmask.runs.manifest import format_entries
from activmask.runs.searched import Searched, searched_to_json
from activmask.runs.selection import selection_rule
from activmask.runs.sittings import Caller, Sitting, read_sittings, sitting, sittings_to_json
from activmask.training.feed.mask_facts import mask_notes
from activmask.training.replicas.advance import write_what_follows
from activmask.training.replicas.epoch import scores_of, split_logits
from activmask.training.replicas.group_accuracy import ByGroup, by_group
from activmask.training.replicas.mean_auc import label_scores_of, mean_auc
from activmask.training.replicas.patience import why_ended
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.watcher import Callback


def open_folder(replica: Replica, caller: Caller | None = None, searched: Searched | None = None) -> None:
    """Make a seed's folder ready to be trained into, such that a death at any instant loses nothing.

    A new run's folder is empty before its description is written; one that goes on lacks what is written
    at the end alone, and has again whatever its state can tell.

    Args:
        replica: of the seed.
        caller: who asks for its training, for the description; None leaves that out.
        searched: the search that chose its settings; one that goes on keeps what it was begun under.
    """
    folder = replica.folder
    before = read_sittings(folder) if replica.next_epoch > 0 else ()
    searched_before = _searched_before(folder) if replica.next_epoch > 0 else None
    if replica.next_epoch == 0:
        clear(folder)
        make_folder(folder)
    else:
        for at_the_end in (METRICS_FILE, LAST_FILE):
            (folder / at_the_end).unlink(missing_ok=True)
    if replica.config.source.data != IN_MEMORY:
        write_whole(folder / SPLITS_FILE, format_entries(replica.origin.entries))
    else:
        (folder / SPLITS_FILE).unlink(missing_ok=True)
    whole = {
        **_run_description(replica),
        **sittings_to_json((*before, *_begun(caller))),
        **searched_to_json(searched or searched_before),
    }
    write_json(folder / RUN_FILE, whole)
    if replica.next_epoch > 0:
        write_what_follows(replica)


def _begun(caller: Caller | None) -> tuple[Sitting, ...]:
    return () if caller is None else (sitting(caller, now=datetime.now(UTC), host=platform.node()),)


def _searched_before(folder: Path) -> Searched | None:
    try:
        written = read_written(folder)
    except CheckpointError:
        # A description that is lost is written anew from the state, which knows of no search.
        return None
    return written.searched if written else None


def _run_description(replica: Replica) -> dict[str, Any]:
    return {
        **replica.description(replica.config.training.epochs - 1).to_json(),
        "device": replica.device.type,
        "processes": replica.world.size,
        "torch_threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in replica.model.parameters()),
        "training_data_sha256": replica.origin.digests["train"],
        **({BENCHMARK: dict(replica.origin.benchmark)} if replica.origin.benchmark else {}),
        "images": {name: len(samples) for name, samples in replica.splits.items()},
        **replica.mask_facts.to_json(),
        "mask_notes": notes_on_masks(replica),
        "selection": selection_rule(replica.config),
        "versions": {
            "activmask": version("activmask"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            # Of networks of our own its import would be for this alone, and takes seconds.
            "torchvision": version("torchvision"),
            **({"timm": version("timm")} if library_of(replica.config.network.model)[0] == "timm" else {}),
        },
    }


def finish(replicas: Sequence[Replica], told: Callback) -> dict[int, dict[str, Any]]:
    """Write what seeds' folders lack after the last epoch; returns by seed its metrics, written last."""
    with worked_on(_save_last, replicas) as saved:
        return {replica.seed: _finish(replica, told) for replica in saved}


def _save_last(replica: Replica) -> None:
    weights, last = plain_weights(replica.judged), replica.next_epoch - 1
    save_checkpoint(replica.folder / LAST_FILE, weights, replica.description(last))


def _finish(replica: Replica, told: Callback) -> dict[str, Any]:
    last = replica.next_epoch - 1
    of_last = _all_scores(replica, last)
    of_other = _other_scores(replica)
    load_plain_weights(replica.judged, replica.best_weights)
    of_best = of_last if replica.best_epoch == last else _all_scores(replica, replica.best_epoch)
    metrics = {
        "seed": replica.seed,
        "best_epoch": replica.best_epoch,
        "epochs": last + 1,
        **_ending(replica),
        **of_best.scores,
        "last": of_last.scores,
        **of_other,
        **_groups_to_json(replica, of_best, of_last),
    }
    told.end(replica, metrics)
    write_json(replica.folder / METRICS_FILE, metrics)
    return metrics


def _other_scores(replica: Replica) -> dict[str, Any]:
    """What the best epoch on the validation split that did not choose scores, where there are two."""
    other = replica.other
    if other is None:
        return {}
    load_plain_weights(replica.judged, other.weights)
    found = _all_scores(replica, other.epoch)
    return {"other": {"selected_on": other.on, "best_epoch": other.epoch, **found.scores}}


def _ending(replica: Replica) -> dict[str, str]:
    """Why a seed ended, where it need not have trained all its epochs."""
    if not replica.config.optimisation.patience:
        return {}
    return {"ended": why_ended(replica) or "after all epochs"}


@dataclass(frozen=True, kw_only=True)
class _OfSplits:
    """What a network scores, by split."""

    scores: dict[str, dict[str, Any]]
    groups: dict[str, ByGroup]
    """Empty where images are in no groups."""


def _all_scores(replica: Replica, epoch: int) -> _OfSplits:
    """What the network as it is, after `epoch`, scores on every split."""
    logits = {name: split_logits(replica, name, epoch) for name in replica.splits}
    return _OfSplits(
        scores={
            name: scores_of(replica, name, found).to_json() | _interval(replica, name, found)
            for name, found in logits.items()
        },
        groups={name: found for name in logits if (found := _by_group(replica, name, logits[name]))},
    )


def _interval(replica: Replica, split: str, logits: Tensor) -> dict[str, Any]:
    """The interval of the mean AUC over several labels, of the test images alone: others choose, or train."""
    labels = replica.splits[split].labels
    if split != "test" or not is_multi_label(labels):
        return {}
    of_labels = label_scores_of(logits, labels, _subjects(replica, split), replica.origin.class_names)
    found = mean_auc(of_labels, seed=replica.seed)
    return {} if found is None else {AUC_INTERVAL: found.interval_to_json()}


def _subjects(replica: Replica, split: str) -> list[str]:
    return [entry.subject for entry in replica.origin.entries if entry.split == split]


def _by_group(replica: Replica, split: str, logits: Tensor) -> ByGroup | None:
    column, labels = replica.origin.column, replica.splits[split].labels.numpy()
    if column is None:
        return None
    subjects = _subjects(replica, split)
    correct = logits.argmax(dim=1).numpy() == labels
    groups = grouped(column.by, labels, column.values[split])
    return by_group(correct, labels, groups, subjects, seed=replica.seed)


def _groups_to_json(replica: Replica, best: _OfSplits, last: _OfSplits) -> dict[str, Any]:
    """The scores of each group of each split; nothing where images are in no groups."""
    if replica.origin.column is None:
        return {}
    return {
        GROUPS: {
            epoch: {split: found.to_json() for split, found in of_epoch.groups.items()}
            for epoch, of_epoch in (("best", best), ("last", last))
        }
    }


def notes_on_masks(replica: Replica) -> list[str]:
    """Sentences on the masks of a seed's training images."""
    return mask_notes(replica.mask_facts, replica.config.view, replica.config.objectives)
