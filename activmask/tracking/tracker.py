"""Tells TensorBoard or MLflow of a run while it trains; a run that was killed and resumed stays one.

What is tracked is what the history says: whatever a tracked run lacks of it is written when training goes
on, and no value of a step is written twice.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

from activmask.ground.errors import UsageError
from activmask.runs.description import flat
from activmask.tracking.log import Known, Log, leave_mark, mark_of, plain_settings, tracked_folder
from activmask.training.replicas.predictions import LABEL_AUC
from activmask.training.replicas.replica import Replica
from activmask.training.replicas.watcher import Callback

Tracked = Literal["tensorboard", "mlflow"]
"""The trackers there are; each is an extra of its name."""

_PICTURE = "saliency/"


def tracker(kind: Tracked, *, images: int = 0, anew: bool = False) -> Callback:
    """A watcher that tells a tracker of each seed: its settings, every history row, its final scores.

    Args:
        kind: which tracker. TensorBoard's event files lie in the seed's folder, in `tracking/tensorboard`;
            MLflow's runs where `MLFLOW_TRACKING_URI` says, else in the run folder's `tracking/mlflow`.
        images: every how many epochs pictures of saliency are drawn, at least 0; 0 draws none. Where states
            are saved less often than that, with the next that is.
        anew: begin new tracked runs, as a run that is overwritten does.

    Raises:
        UsageError: the tracker is not installed, or `images` is negative.
        DataError: no server answers where `MLFLOW_TRACKING_URI` says.
    """
    if images < 0:
        raise UsageError(f"images are tracked every {images} epochs; give 0 for none, or more")
    if find_spec(kind) is None:
        raise UsageError(f"tracking by {kind} needs more: pip install 'activmask[{kind}]'")
    if kind == "mlflow":
        from activmask.tracking.mlflow_log import check_server

        check_server()
    return _Tracker(_OPENED[kind], images=images, anew=anew)


def _tensorboard(replica: Replica, anew: bool) -> Log:
    from activmask.tracking.tensorboard_log import TensorBoardLog

    anew = anew or not mark_of(replica.folder, "tensorboard", replica.run_sha256)
    log = TensorBoardLog(tracked_folder(replica.folder, "tensorboard"), anew=anew)
    leave_mark(replica.folder, "tensorboard", replica.run_sha256)
    return log


def _mlflow(replica: Replica, anew: bool) -> Log:
    from activmask.tracking.mlflow_log import MlflowLog

    return MlflowLog(replica, anew=anew)


_OPENED: dict[Tracked, Callable[[Replica, bool], Log]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}


class _Tracker(Callback):
    """Tells a log of each seed."""

    def __init__(self, opened: Callable[[Replica, bool], Log], *, images: int, anew: bool) -> None:
        self._opened = opened
        self._images = images
        self._anew = anew
        self._logs: dict[int, Log] = {}
        self._known: dict[int, Known] = {}

    def start(self, replica: Replica) -> None:
        log = self._opened(replica, self._anew)
        self._logs[replica.seed], self._known[replica.seed] = log, log.known()
        log.settings(plain_settings({**flat(replica.config), "seed": replica.seed}))
        for row in replica.history:
            self.epoch(replica.seed, row)
        self.saved(replica)

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        self._keep(seed, row["epoch"], {name: value for name, value in row.items() if name != "epoch"})

    def saved(self, replica: Replica) -> None:
        epochs, known = replica.next_epoch, self._known[replica.seed]
        drawn = max((step + 1 for name, step in known if name.startswith(_PICTURE)), default=0)
        if not self._images or epochs // self._images <= drawn // self._images:
            return
        from activmask.tracking.pictures import saliency_pictures

        for number, png in enumerate(saliency_pictures(replica)):
            name = f"{_PICTURE}{number}"
            self._logs[replica.seed].picture(epochs - 1, name, png)
            known.add((name, epochs - 1))

    def end(self, replica: Replica, metrics: dict[str, Any]) -> None:
        last = replica.next_epoch - 1
        for which, step, scores in (
            ("best", metrics["best_epoch"], metrics),
            ("last", last, metrics["last"]),
        ):
            found = {
                f"{which}/{split}_{name}": value
                for split in replica.splits
                for name, value in _by_name(scores[split], replica.origin.class_names).items()
            }
            self._keep(replica.seed, step, found)
        self._logs[replica.seed].finished()

    def _keep(self, seed: int, step: int, values: dict[str, float]) -> None:
        known = self._known[seed]
        new = {name: float(value) for name, value in values.items() if (name, step) not in known}
        if new:
            self._logs[seed].scalars(step, new)
            known |= {(name, step) for name in new}


def _by_name(scores: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """Scores of a split, those of several labels by their names."""
    several = zip(labels, scores.get(LABEL_AUC, ()), strict=False)
    # MLflow takes no other characters.
    named = {f"auc_{re.sub(r'[^A-Za-z0-9_.-]', '_', label)}": value for label, value in several}
    return {name: value for name, value in scores.items() if name != LABEL_AUC} | named
