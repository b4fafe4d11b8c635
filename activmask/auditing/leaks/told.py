"""How well something tells something else, as one of all that was asked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from activmask.evaluation.paired import holm
from activmask.training.replicas.resampled_auc import CONFIDENCE

CHANCE = 0.5
"""The AUC of a probe that knows nothing."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """How well something tells something else."""

    what: str
    """What is told: `label`, or a column of the metadata. Foreign text."""
    source: str
    """What tells it, such as `thumbnail of 16 px`. Foreign text where it is a column."""
    within: str = ""
    """The class that all images have; empty where they are of all classes. Foreign text."""
    n: int = 0
    """Images that take part."""
    subjects: int = 0
    values: tuple[str, ...] = ()
    """The K values that are told apart."""
    auc: float | None = None
    """ROC AUC, of more than two values the mean of one against the rest; None where there is a reason."""
    low: float | None = None
    """Lower end of the 95 % interval, a bootstrap over subjects."""
    high: float | None = None
    chance: float = CHANCE
    chance_distance: float | None = None
    """An AUC no further than this from chance is had of answers dealt out anew, too (95 %, of this one by
    itself). None where the interval holds chance, as nothing is claimed then, and where there is no AUC."""
    p: float | None = None
    """Two-sided, of such an AUC by answers dealt out anew; None where chance_distance is."""
    p_holm: float | None = None
    """The same, adjusted for everything that was asked of the same images, p being 1 where it is None (Holm
    1979, doi:10.2307/4615733); None where there is no AUC."""
    reason: str = ""
    """Why there is no AUC; empty where there is one."""

    @property
    def tells(self) -> bool:
        """Whether interval and AUC lie beyond chance, as one of all that were asked."""
        return self.p_holm is not None and self.p_holm < 1 - CONFIDENCE

    @property
    def numbers(self) -> str:
        """The AUC with its interval and chance, in words; of one that there is."""
        interval = "" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})"
        return f"AUC {self.auc:.2f}{interval}, {self.chance:.2f} by chance"

    def to_json(self) -> dict[str, Any]:
        """Plain values, with `tells` beside them."""
        return {**asdict(self), "values": list(self.values), "tells": self.tells}


def judged_together(every: Sequence[Told]) -> list[Told]:
    """All that was asked of some images, each judged as one of them.

    Then of data that give nothing away anything tells in at most 5 % of audits.
    """
    adjusted = iter(holm([1.0 if one.p is None else one.p for one in every if one.auc is not None]))
    return [one if one.auc is None else replace(one, p_holm=next(adjusted)) for one in every]
