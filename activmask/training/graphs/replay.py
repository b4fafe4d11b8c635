"""Train by replaying recorded epochs."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

from torch import Tensor

from activmask.ground.errors import TrainingDiverged
from activmask.training.graphs.capture import MOST_AHEAD, Recording, launch, values_and_verdict
from activmask.training.graphs.epoch_verdict import unpack_verdict
from activmask.training.replicas.advance import is_over, keep_row, tell_if_ended
from activmask.training.replicas.epoch import (
    diverged,
    history_row,
    judged_splits,
    logits_diverged,
    mean_losses,
    step_count,
)
from activmask.training.replicas.patience import epochs_left, has_ended
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.saves import Saves
from activmask.training.replicas.watcher import Watcher, tell_saved

SECONDS_AHEAD = 1.0
"""About how long the host leaves the device alone before it reads results."""


def train_recorded(recordings: Sequence[Recording], epochs: int, saves: Saves, progress: Watcher) -> None:
    """Replay until each replica has had so many epochs.

    States are saved when `saves` says so and at the end, not after each epoch.

    Raises:
        TrainingDiverged: a loss or a logit of one is NaN or infinite; every other replica's state is
            that of its last epoch, its own that of the last save.
    """
    try:
        _train(recordings, epochs, saves, progress)
    finally:
        # After an interrupt the device still writes to what would be given back.
        wait_for(recordings)


def _train(recordings: Sequence[Recording], epochs: int, saves: Saves, progress: Watcher) -> None:
    ahead = 1
    while going := [each for each in recordings if not is_over(each.replica, epochs)]:
        seconds = run_ahead(going, ahead, epochs)
        trained = seconds * max(each.launched for each in going)
        failures = {each.replica.seed: collect(each, seconds, progress) for each in going}
        whole = [each.replica for each in going if not failures[each.replica.seed]]
        saves.make(
            whole,
            epochs,
            partial(tell_saved, progress),
            trained=trained,
            at_once=any(failures.values()),
        )
        for replica in whole:
            tell_if_ended(replica, progress)
        for failure in failures.values():
            if failure:
                raise failure
        ahead = min(MOST_AHEAD, max(1, int(SECONDS_AHEAD / seconds)))


def run_ahead(recordings: Sequence[Recording], ahead: int, epochs: int) -> float:
    """Launch so many epochs of each and wait for them; the seconds that one epoch of all took.

    None is launched that a replica's patience, as far as it is known, may not reach.
    """
    start = perf_counter()
    for _ in range(ahead):
        for recording in recordings:
            replica, ahead_of_it = recording.replica, recording.launched
            if replica.next_epoch + ahead_of_it < epochs and ahead_of_it != epochs_left(replica):
                launch(recording)
    done = max(recording.launched for recording in recordings)
    wait_for(recordings)
    return (perf_counter() - start) / done


def wait_for(recordings: Sequence[Recording]) -> None:
    """Until the device has done everything that was launched."""
    for recording in recordings:
        if recording.stream is not None:
            recording.stream.synchronize()


def collect(recording: Recording, seconds: float, progress: Watcher) -> TrainingDiverged | None:
    """Note the epochs that were launched and are over.

    Args:
        recording: its replica's history grows.
        seconds: that one epoch of all replicas took.
        progress: is told of each epoch.

    Returns:
        What was wrong with the first epoch that was no longer finite, whose successors are dropped.
    """
    replica = recording.replica
    results = recording.results[: recording.launched].cpu()
    recording.launched = 0
    for numbers in results:
        if failure := note_epoch(replica, *values_and_verdict(recording, numbers), seconds, progress):
            return failure
    return None


def note_epoch(
    replica: Replica, values: Tensor, verdict: Tensor, seconds: float, progress: Watcher
) -> TrainingDiverged | None:
    """Note one epoch that is over.

    Args:
        replica: its history grows.
        values: on the host, each step's loss and weighted terms (steps, 1 + T).
        verdict: on the host, see `epoch_verdict`.
        seconds: that one epoch of all replicas took.
        progress: is told.

    Returns:
        What was wrong, if the epoch was not finite; it is not noted then.
    """
    try:
        row, is_best = _outcome(replica, values, verdict, seconds)
    except TrainingDiverged as failure:
        return failure
    steps = step_count(replica)
    progress.step(replica.seed, replica.next_epoch, steps, steps)
    keep_row(replica, row, is_best=is_best)
    replica.ended = has_ended(replica)
    progress.epoch(replica.seed, row)
    return None


def _outcome(
    replica: Replica, values: Tensor, verdict: Tensor, seconds: float
) -> tuple[dict[str, Any], bool]:
    """An epoch's row of the history, and whether it is the best so far.

    Raises:
        TrainingDiverged: it has a loss or logits that are not finite.
    """
    by_step = list(zip(values, replica.batch_sizes, strict=True))
    for step, (of_step, _) in enumerate(by_step):
        if not of_step[0].isfinite():
            raise diverged(replica, step, of_step)
    told = unpack_verdict(verdict, judged_splits(replica.config.training))
    if told.broken:
        raise logits_diverged(replica, told.broken[0], replica.next_epoch)
    row = history_row(replica, mean_losses(replica.config.objectives, by_step), told.scores, seconds)
    return row, told.is_best
