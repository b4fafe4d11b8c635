"""Train all seeds of a run as one network.

Shapes: R seeds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from time import perf_counter

import torch

from activmask.ground.errors import TrainingDiverged
from activmask.models.stacked.alone import alone, live_alone
from activmask.training.graphs.capture import MOST_AHEAD
from activmask.training.graphs.replay import SECONDS_AHEAD, SECONDS_BETWEEN_SAVES, note_epoch
from activmask.training.replicas.advance import save
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.state import lay_moments_out
from activmask.training.replicas.watcher import Watcher, tell_saved
from activmask.training.stacks.capture import StackedEpoch, launch, record_stacked, unrecorded
from activmask.training.stacks.first_step import compile_kernels, why_another_step
from activmask.training.stacks.group import Group, new_group, why_not_grouped


def stacks_on(device: torch.device) -> bool:
    """Whether seeds train as one network on a device: on a CPU launches cost little, and arithmetic all."""
    return device.type == "cuda"


def train_stacked(replicas: Sequence[Replica], epochs: int, progress: Watcher) -> str:
    """Train replicas as one network until each has had so many epochs.

    Those that are behind, as after an interrupt, train together until they have caught up with the
    others. States are saved every `SECONDS_BETWEEN_SAVES` and at the end, not after each epoch.

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
        try:
            obstacle = _train_group(behind, until, progress)
        finally:
            for replica in behind:
                live_alone(replica.model)
        if obstacle:
            return obstacle
    return ""


def _train_group(replicas: Sequence[Replica], until: int, progress: Watcher) -> str:
    """Train replicas of one epoch to another; why that could not be done, or nothing."""
    clock = _Clock()
    try:
        if obstacle := why_not_grouped(replicas):
            return obstacle
        group = new_group(replicas)
        if group.order.is_cuda:
            compile_kernels(group)
        if obstacle := why_another_step(group):
            return obstacle
        with _undone_if_refused(group):
            _run(unrecorded(group), clock, until=replicas[0].next_epoch + 1, progress=progress)
        if replicas[0].next_epoch == until:
            return ""
        recording = record_stacked(group)
    except RuntimeError as error:
        return f"the device refused ({str(error).splitlines()[0]})"
    _run(recording, clock, until=until, progress=progress)
    return ""


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


class _Clock:
    """When states were last saved."""

    def __init__(self) -> None:
        self.saved = perf_counter()


def _run(epoch: StackedEpoch, clock: _Clock, *, until: int, progress: Watcher) -> None:
    try:
        _launch_and_collect(epoch, clock, until, progress)
    finally:
        # After an interrupt the device still writes to what would be given back.
        wait_for(epoch)


def _launch_and_collect(epoch: StackedEpoch, clock: _Clock, until: int, progress: Watcher) -> None:
    replicas, ahead = epoch.group.replicas, 1
    while (left := until - replicas[0].next_epoch) > 0:
        start, count = perf_counter(), min(ahead, left)
        for _ in range(count):
            launch(epoch)
        wait_for(epoch)
        seconds = (perf_counter() - start) / count
        failures = collect(epoch, seconds, progress)
        due = bool(failures) or perf_counter() - clock.saved > SECONDS_BETWEEN_SAVES
        for replica in replicas:
            if replica.seed not in failures and (due or replica.next_epoch >= until):
                save(replica)
                with alone(replica.judged):
                    tell_saved(progress, replica)
        for failure in failures.values():
            raise failure
        clock.saved = perf_counter() if due else clock.saved
        ahead = min(MOST_AHEAD, max(1, int(SECONDS_AHEAD / seconds)))


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
