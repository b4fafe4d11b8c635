"""The scores of one condition, as tables and verdicts take them."""

from dataclasses import dataclass

from activmask.evaluation.sides import Area


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its uncertainty."""

    value: float
    low: float | None
    """Lower end of the 95 % interval, percentiles of a bootstrap over subjects; None below two."""
    high: float | None
    """Its upper end."""

    @property
    def told(self) -> bool:
        """Whether its interval leaves 0 out: as a change, it is one."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def area(self) -> Area:
        """The same, as an AUC that verdicts weigh."""
        return Area(self.value, self.low, self.high)


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
