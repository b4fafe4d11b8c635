"""The scores of one condition, as tables and verdicts take them."""

from dataclasses import dataclass
from typing import Literal

from activmask.evaluation.estimate import Estimate

Left = Literal["beyond the masks", "as the masks", "as the outline", "chance"]
"""What one side alone tells: more than its masks do, no more than they, no more than the model tells by the
outline of what is blank, or nothing that is told from chance."""


@dataclass(frozen=True, kw_only=True)
class ConditionRow:
    """The scores of one condition."""

    condition: str
    draws: int
    """Over which its scores are averaged; 1 of what is not random."""
    auc: Estimate
    """In [0, 1]."""
    auc_spread: float | None
    """SD of the AUC over draws (n - 1); None of one draw."""
    auc_change: Estimate | None
    """AUC minus that of the full images, of the same draws of subjects; None of the full images."""
    accuracy: Estimate | None
    """In [0, 1]; None of scores that only rank."""
    accuracy_change: Estimate | None
