"""What a run's two validation splits would each have chosen, where it held one out of training."""

from dataclasses import dataclass

from activmask.data.settings import IID
from activmask.evaluation.spread import Spread, spread
from activmask.runs.description import SelectOn
from activmask.runs.results import Run

BOTH: tuple[SelectOn, SelectOn] = (IID, "valid")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best epochs by one validation split, over the seeds of a run."""

    best_epoch: Spread | None
    """Counted from 0."""
    valid: Spread | None
    """AUC, accuracy, loss or the worst group's accuracy, as the run selects by, on the split that chose."""
    auc: Spread | None
    """Of the test images."""
    accuracy: Spread | None


def choices(run: Run) -> dict[SelectOn, Choice]:
    """By validation split, what it chose; empty for a run with one split alone, or no finished seed."""
    if not run.metrics or not all("other" in metrics for metrics in run.metrics.values()):
        return {}
    return {on: _choice(run, on) for on in BOTH}


def _choice(run: Run, on: SelectOn) -> Choice:
    how = run.config.training
    own = [found if how.select_on == on else found["other"] for found in run.metrics.values()]
    return Choice(
        best_epoch=spread([one["best_epoch"] for one in own]),
        valid=spread([one[on][how.select] for one in own]),
        auc=spread([one["test"]["auc"] for one in own]),
        accuracy=spread([one["test"]["accuracy"] for one in own]),
    )
