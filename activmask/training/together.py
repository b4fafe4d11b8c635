"""All replicas of a run to their last epoch, the fastest way there is for them."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter

from activmask.ground.errors import TrainingDiverged
from activmask.training.graphs.capture import record, why_not_recorded
from activmask.training.graphs.replay import train_recorded
from activmask.training.replicas.advance import advance, advance_unsaved, is_over, tell_if_ended
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.saves import Saves
from activmask.training.replicas.watcher import Watcher, tell_saved
from activmask.training.stacks.train import stacks_on, train_stacked


def train_together(replicas: Sequence[Replica], epochs: int, progress: Watcher) -> None:
    """Train every replica until it has had so many epochs; where they take turns, a turn is an epoch.

    Raises:
        TrainingDiverged: a loss is NaN or infinite; the last good state is kept.
        PeerLost: another of torchrun's processes ended; likewise.
    """
    going = [replica for replica in replicas if not is_over(replica, epochs)]
    if not going:
        return
    if obstacle := why_not_recorded(going):
        if going[0].device.type == "cuda":
            _say(obstacle, progress)
    else:
        saves = Saves()
        if _train_as_one(going, epochs, saves, progress) or _train_recorded(going, epochs, saves, progress):
            return
        # Whoever takes turns counts on a state after each epoch.
        saves.make(going, epochs, partial(tell_saved, progress), at_once=True)
    for epoch in range(epochs):
        for replica in going:
            if replica.next_epoch == epoch and not replica.ended:
                advance(replica, progress)


def _train_as_one(replicas: Sequence[Replica], epochs: int, saves: Saves, progress: Watcher) -> bool:
    """Train the replicas as one network; False where that could not be done, and nothing is lost."""
    if len(replicas) == 1 or not stacks_on(replicas[0].device):
        return False
    if obstacle := train_stacked(replicas, epochs, saves, progress):
        progress.note(f"seeds are trained beside each other, not as one network: {obstacle}")
    return not obstacle


def _train_recorded(replicas: Sequence[Replica], epochs: int, saves: Saves, progress: Watcher) -> bool:
    """Record the replicas' epochs and train; False where that could not be done, and nothing is lost."""
    replicas, tell = [one for one in replicas if not is_over(one, epochs)], partial(tell_saved, progress)
    for replica in replicas:
        start = perf_counter()
        try:
            advance_unsaved(replica, progress)
        except TrainingDiverged:
            others = [other for other in replicas if other is not replica]
            saves.make(others, epochs, tell, at_once=True)
            raise
        saves.make(replicas, epochs, tell, trained=perf_counter() - start)
        tell_if_ended(replica, progress)
    try:
        recordings = [record(replica) for replica in replicas if not is_over(replica, epochs)]
    except RuntimeError as error:
        _say(f"CUDA refused ({str(error).splitlines()[0]})", progress)
        return False
    train_recorded(recordings, epochs, saves, progress)
    return True


def _say(obstacle: str, progress: Watcher) -> None:
    progress.note(f"epochs are launched step by step, not as recorded graphs: {obstacle}")
