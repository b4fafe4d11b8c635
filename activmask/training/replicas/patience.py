"""When a seed ends before its epochs do: patience counts those in a row that were no better than the best."""

from activmask.runs.selection import chosen_by
from activmask.training.replicas.replica import Replica


def epochs_left(replica: Replica) -> int | None:
    """How many epochs a replica's patience lasts at least from now on; None where it has no end."""
    patience = replica.config.optimisation.patience
    return patience - _since_best(replica) if patience else None


def has_ended(replica: Replica) -> bool:
    """Whether its patience is at an end, by the epochs in its history."""
    return epochs_left(replica) == 0


def why_ended(replica: Replica) -> str:
    """A clause on what ended it before its epochs did; empty where nothing did."""
    config = replica.config
    if not replica.ended or replica.next_epoch >= config.training.epochs:
        return ""
    return (
        f"after {replica.next_epoch} of {config.training.epochs} epochs, as the last "
        f"{config.optimisation.patience} had no better {chosen_by(config)}"
    )


def _since_best(replica: Replica) -> int:
    """Epochs since the best one, or since the beginning."""
    return replica.next_epoch - 1 - replica.best_epoch if replica.history else 0
