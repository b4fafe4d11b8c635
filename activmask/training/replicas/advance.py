"""One more epoch of one replica, and what is kept of it."""

import csv
import io
from time import perf_counter
from typing import Any

import torch

from activmask.ground.files import write_whole
from activmask.machine.world import mean_of_all
from activmask.runs.checkpoint import snapshot
from activmask.runs.folder import HISTORY_FILE
from activmask.runs.selection import is_better, merit
from activmask.runs.tensor_file import Held
from activmask.training.replicas.epoch import epoch_row, train_epoch
from activmask.training.replicas.patience import has_ended, why_ended
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.state import new_best, save_best, save_other_best, save_state
from activmask.training.replicas.watcher import Watcher, tell_saved


def advance(replica: Replica, progress: Watcher) -> None:
    """Train for one epoch, evaluate, keep the best, save.

    Raises:
        TrainingDiverged: a loss or a logit is NaN or infinite; the last good state is kept.
        PeerLost: another of torchrun's processes ended; likewise.
    """
    row = _train_and_judge(replica, progress)
    if row is None:
        replica.saved_epoch = replica.next_epoch - 1
        replica.ended = _all_hear(replica, ended=False)
        return
    save(replica)
    progress.epoch(replica.seed, row)
    tell_saved(progress, replica)
    replica.ended = _all_hear(replica, ended=has_ended(replica))
    tell_if_ended(replica, progress)


def advance_unsaved(replica: Replica, progress: Watcher) -> None:
    """Train a replica of this process alone for one epoch, evaluate, keep the best.

    Raises:
        TrainingDiverged: a loss or a logit is NaN or infinite.
    """
    row = _train_and_judge(replica, progress)
    assert row is not None
    progress.epoch(replica.seed, row)
    replica.ended = has_ended(replica)


def _train_and_judge(replica: Replica, progress: Watcher) -> dict[str, Any] | None:
    """Train for one epoch; its row of the history, where this process writes one."""
    epoch, start = replica.next_epoch, perf_counter()
    losses = train_epoch(replica, lambda done, total: progress.step(replica.seed, epoch, done, total))
    if not replica.world.writes:
        replica.next_epoch += 1
        return None
    row = epoch_row(replica, losses, perf_counter() - start)
    how = replica.config.training
    is_best = is_better(row, replica.best_score, how.select, how.select_on)
    if is_best:
        replica.best_weights = snapshot(replica.judged)
    keep_other(replica, row)
    keep_row(replica, row, is_best=is_best)
    return row


def keep_other(replica: Replica, row: dict[str, Any]) -> None:
    """Keep the weights if they are the best so far on the validation split that does not choose."""
    other, select = replica.other, replica.config.training.select
    if other is not None and is_better(row, other.score, select, other.on):
        other.epoch, other.score = replica.next_epoch, merit(row, select, other.on)
        other.weights = snapshot(replica.judged)


def is_over(replica: Replica, epochs: int) -> bool:
    """Whether nothing is left to train of so many epochs."""
    return replica.ended or replica.next_epoch >= epochs


def _all_hear(replica: Replica, *, ended: bool) -> bool:
    """What the process that writes says, in each of those that train together."""
    if not replica.config.optimisation.patience:
        return False
    said = torch.tensor(float(ended), device=replica.device)
    return bool(mean_of_all(said, replica.world) > 0)


def tell_if_ended(replica: Replica, progress: Watcher) -> None:
    """Say why a seed ended before its epochs did."""
    if why := why_ended(replica):
        progress.note(f"seed {replica.seed} ends early: {why}")


def keep_row(replica: Replica, row: dict[str, Any], *, is_best: bool) -> None:
    """Note an epoch that ended; its weights, if they are the best, are kept by the caller."""
    if replica.config.optimisation.patience:
        row["epochs_since_best"] = 0 if is_best else replica.next_epoch - replica.best_epoch
    replica.history.append(row)
    if is_best:
        how = replica.config.training
        replica.best_epoch, replica.best_score = replica.next_epoch, merit(row, how.select, how.select_on)
    replica.next_epoch += 1


def save(replica: Replica) -> None:
    """Write the state after the last epoch, then what follows from it: the best weights and the history."""
    best = new_best(replica)
    save_state(replica, best)
    _write_what_follows(replica, best)


def write_what_follows(replica: Replica) -> None:
    """Write what a replica's state says and its folder may lack, if training was killed after the state."""
    _write_what_follows(replica, new_best(replica))


def _write_what_follows(replica: Replica, best: Held | None) -> None:
    if best is not None:
        save_best(replica, best)
    save_other_best(replica)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(replica.history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(replica.history)
    write_whole(replica.folder / HISTORY_FILE, text.getvalue().encode())
