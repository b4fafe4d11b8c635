"""Which epoch of a run counts as its best: the first that is strictly better than all before it.

Where a run holds a second validation split out of training, its best epoch is chosen on one of the two,
and the best on the other is kept beside it.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from activmask.data.settings import IID, IN_MEMORY, correlations
from activmask.runs.description import RunConfig, SelectBy, SelectOn

Epoch = Literal["best", "last"]
EPOCHS: tuple[Epoch, ...] = ("best", "last")
"""Those of a run whose weights are kept and whose scores are told."""

KeptEpoch = Literal["best", "last", "other"]
"""Those whose weights are kept: `other` is the best on the validation split that did not choose."""

SAME_AUC = 1e-12
"""AUCs nearer than this are equal: it is far below one pair of images and far above rounding."""

MARGIN: dict[SelectBy, float] = {"auc": SAME_AUC, "accuracy": 0.0, "loss": 0.0, "worst_group": 0.0}
"""By how much an epoch must be better; the AUC alone is counted in two ways, which round differently."""

_SCORES: dict[SelectBy, str] = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "loss": "loss",
    "worst_group": "worst-group accuracy",
}

_RULES: dict[SelectBy, str] = {
    "auc": "first epoch with the highest AUC",
    "accuracy": "first epoch with the highest accuracy",
    "loss": "first epoch with the lowest cross-entropy",
    "worst_group": "first epoch with the highest worst-group accuracy",
}


def selection_rule(config: RunConfig) -> str:
    """How a run's best epoch is chosen, in words."""
    of_training = config.training.select_on == IID
    split = f"{IID}, which is held out of training" if of_training else "the validation split"
    return f"{_RULES[config.training.select]} on {split}"


def shifts(config: RunConfig) -> bool:
    """Whether a run's settings alone say that validation is of another distribution than training.

    So it is with the benchmark drawn in memory, and where the site tells the class in training and not, or
    the other way round, elsewhere. Of other data their maker knows.
    """
    if config.source.data == IN_MEMORY:
        return True
    train, valid, _ = correlations(config.source)
    return config.source.split_policy == "site-correlated" and valid != train


def chosen_by(config: RunConfig, on: SelectOn | None = None) -> str:
    """What a run's best epoch is chosen by, as tables name it, for example `validation AUC`.

    Args:
        config: the run's.
        on: the split that chooses; None takes the run's own.
    """
    score = _SCORES[config.training.select]
    if (on or config.training.select_on) == IID:
        return f"iid validation {score}"
    if shifts(config):
        return f"{'shifted ' if config.source.valid_iid else ''}validation {score}"
    return f"{'iid ' if config.source.valid_correlation >= 0 else ''}validation {score}"


def selected_by(configs: Iterable[RunConfig]) -> str:
    """What the best epochs of several runs are chosen by, for example `validation AUC`."""
    return " or ".join(dict.fromkeys(map(chosen_by, configs)))


def other_split(select_on: SelectOn) -> SelectOn:
    """The validation split that does not choose, of a run that has two."""
    return "valid" if select_on == IID else "valid_iid"


def merit(row: Mapping[str, float], select: SelectBy, on: SelectOn) -> float:
    """How good an epoch is on a validation split, by its row of the history; the higher the better."""
    return -row[f"{on}_loss"] if select == "loss" else row[f"{on}_{select}"]


def is_better(row: Mapping[str, float], best: float, select: SelectBy, on: SelectOn) -> bool:
    """Whether an epoch is better than all before it, the best of which had the merit `best`."""
    return merit(row, select, on) > best + MARGIN[select]
