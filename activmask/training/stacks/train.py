"""Train all seeds of a run as one network.

Shapes: R seeds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from time import perf_counter

import torch

from activmask.ground.errors import TrainingDiverged
from activmask.models.stacked.alone import alone, live_alone
from activmask.training.graphs.capture import MOST_AHEAD
from activmask.training.graphs.replay import SECONDS_AHEAD, note_epoch
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.saves import Saves
from activmask.training.replicas.state import lay_moments_out
from activmask.training.replicas.watcher import Watcher, tell_saved
from activmask.training.stacks.capture import StackedEpoch, launch, record_stacked, unrecorded
from activmask.training.stacks.first_step import compile_kernels, why_another_step
from activmask.training.stacks.group import Group, new_group, why_not_grouped


def stacks_on(device: torch.device) -> bool:
    """Whether seeds train as one network on a device: on a CPU launches cost little, and arithmetic all."""
    return device.type == "cuda"


def train_stacked(replicas: Sequence[Replica], epochs: int, saves: Saves, progress: Watcher) -> str:
    """Train replicas as one network until each has had so many epochs.

    Those that are behind, as after an interrupt, train together until they have caught up with the
    others. States are saved when `saves` says so and at the end, not after each epoch.

    Returns:
        A clause that says why it was not done, or no further; empty where it was. The replicas are
        whole either way, and any other engine can go on with them.

    Raises:
        TrainingDiverged: a loss or a logit of one seed is NaN or infinite; every other replica's
            state is that of its last epoch, its own that of the last save.
    """
    while going := [replica for replica in replicas if replica.next_epoch < epochs]:
        first = min(replica.next_epoch for replica in going)
        behind = [replica for replica in going if replica.next_epoch == first]
        until = min((replica.next_epoch for replica in going if replica not in behind), default=epochs)
        keep = partial(_keep, epochs=epochs, saves=saves, progress=progress)
        try:
            obstacle = _train_group(behind, until, keep)
        finally:
            for replica in behind:
                live_alone(replica.model)
        if obstacle:
            return obstacle
    return ""


Keep = Callable[[StackedEpoch, float], None]
"""What is done about the epochs that were launched and are over, given the seconds that one of them took."""


def _train_group(replicas: Sequence[Replica], until: int, keep: Keep) -> str:
    """Train replicas of one epoch to another; why that could not be done, or nothing."""
    try:
        if obstacle := why_not_grouped(replicas):
            return obstacle
        group = new_group(replicas)
        if group.order.is_cuda:
            compile_kernels(group)
        if obstacle := why_another_step(group):
            return obstacle
        epoch = unrecorded(group)
        with _undone_if_refused(group):
            seconds = _run(epoch, 1)
    except RuntimeError as error:
        return _refusal(error)
    keep(epoch, seconds)
    if replicas[0].next_epoch == until:
        return ""
    try:
        epoch = record_stacked(group)
    except RuntimeError as error:
        return _refusal(error)
    ahead = 1
    while (left := until - replicas[0].next_epoch) > 0:
        seconds = _run(epoch, min(ahead, left))
        keep(epoch, seconds)
        ahead = min(MOST_AHEAD, max(1, int(SECONDS_AHEAD / seconds)))
    return ""


def _refusal(error: RuntimeError) -> str:
    return f"the device refused ({str(error).splitlines()[0]})"


@contextmanager
def _undone_if_refused(group: Group) -> Iterator[None]:
    """Bring networks, the best of them and optimizers back to where they were if the device refuses."""
    stacks = group.stacked, group.best
    tensors = [part for own in stacks for part in (own.weights, own.statistics, own.batches)]
    before = [tensor.clone() for tensor in tensors]
    states = [deepcopy(replica.optimizer.state_dict()) for replica in group.replicas]
    try:
        yield
    except RuntimeError:
        for tensor, kept in zip(tensors, before, strict=True):
            tensor.copy_(kept)
        for replica, state in zip(group.replicas, states, strict=True):
            replica.optimizer.load_state_dict(state)
            lay_moments_out(replica.optimizer)
        raise


def _run(epoch: StackedEpoch, count: int) -> float:
    """Launch so many epochs and wait for them; the seconds that each took."""
    start = perf_counter()
    try:
        for _ in range(count):
            launch(epoch)
    finally:
        # After an interrupt the device still writes to what would be given back.
        wait_for(epoch)
    return (perf_counter() - start) / count


def _keep(epoch: StackedEpoch, seconds: float, *, epochs: int, saves: Saves, progress: Watcher) -> None:
    """Note the epochs that are over, and save.

    Raises:
        TrainingDiverged: a seed is no longer finite; the others are saved.
    """
    trained = seconds * epoch.launched
    failures = collect(epoch, seconds, progress)
    whole = [replica for replica in epoch.group.replicas if replica.seed not in failures]
    saves.make(whole, epochs, partial(_tell_saved, progress), trained=trained, at_once=bool(failures))
    for failure in failures.values():
        raise failure


def _tell_saved(progress: Watcher, replica: Replica) -> None:
    with alone(replica.judged):
        tell_saved(progress, replica)


def wait_for(epoch: StackedEpoch) -> None:
    """Until the device has done everything that was launched."""
    device = epoch.group.order.device
    if epoch.recorder.stream is not None:
        epoch.recorder.stream.synchronize()
    elif device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def collect(epoch: StackedEpoch, seconds: float, progress: Watcher) -> dict[int, TrainingDiverged]:
    """Note the epochs that were launched and are over; of each seed that failed, what was wrong first.

    Args:
        epoch: see `wait_for`.
        seconds: that each took.
        progress: hears of them.
    """
    values, verdicts = epoch.values[: epoch.launched].cpu(), epoch.verdicts[: epoch.launched].cpu()
    epoch.launched = 0
    failures: dict[int, TrainingDiverged] = {}
    for of_epoch, judged in zip(values, verdicts, strict=True):
        for index, replica in enumerate(epoch.group.replicas):
            if replica.seed in failures:
                continue
            failure = note_epoch(replica, of_epoch[:, index], judged[index], seconds, progress)
            if failure is not None:
                failures[replica.seed] = failure
    return failures
