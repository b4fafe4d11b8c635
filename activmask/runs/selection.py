"""Which epoch of a run counts as its best: the first that is strictly better than all before it."""

from collections.abc import Iterable, Mapping
from typing import Literal

from activmask.runs.description import SelectBy

Epoch = Literal["best", "last"]
EPOCHS: tuple[Epoch, ...] = ("best", "last")
"""Those of a run whose weights are kept and whose scores are told."""

SAME_AUC = 1e-12
"""AUCs nearer than this are equal: it is far below one pair of images and far above rounding."""

MARGIN: dict[SelectBy, float] = {"auc": SAME_AUC, "accuracy": 0.0, "loss": 0.0}
"""By how much an epoch must be better; the AUC alone is counted in two ways, which round differently."""

SELECTED_BY: dict[SelectBy, str] = {
    "auc": "validation AUC",
    "accuracy": "validation accuracy",
    "loss": "validation loss",
}
"""What an epoch is selected by, as tables name it."""

RULE: dict[SelectBy, str] = {
    "auc": "first epoch with the highest AUC on the validation split",
    "accuracy": "first epoch with the highest accuracy on the validation split",
    "loss": "first epoch with the lowest cross-entropy on the validation split",
}
"""The same as a rule."""


def selected_by(selects: Iterable[SelectBy]) -> str:
    """What the best epochs of several runs are selected by, for example `validation AUC`."""
    return " or ".join(dict.fromkeys(SELECTED_BY[select] for select in selects))


def merit(row: Mapping[str, float], select: SelectBy) -> float:
    """How good an epoch is, by its row of the history; the higher the better."""
    return -row["valid_loss"] if select == "loss" else row[f"valid_{select}"]


def is_better(row: Mapping[str, float], best: float, select: SelectBy) -> bool:
    """Whether an epoch is better than all before it, the best of which had the merit `best`."""
    return merit(row, select) > best + MARGIN[select]
