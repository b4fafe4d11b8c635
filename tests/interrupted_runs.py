"""Trainings that are interrupted before one of their epochs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from activmask.runs.description import RunConfig
from activmask.training.replicas import advance as advance_module
from activmask.training.replicas import epoch as epoch_module
from activmask.training.run import train


def train_interrupted(config: RunConfig, seeds: Sequence[int], out: Path, *, before_epoch: int) -> None:
    """Train until an epoch, counted from 0, would begin, and be interrupted there."""

    def interrupt(replica, on_step):
        if replica.next_epoch == before_epoch:
            raise KeyboardInterrupt
        return epoch_module.train_epoch(replica, on_step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advance_module, "train_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, seeds, out)
