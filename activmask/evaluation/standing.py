"""Where an AUC stands beside chance, in words that say no more than its interval does.

There are three: told from chance; close to chance; and neither, as where an interval that holds 0.5 is wide.
"""

from activmask.evaluation.map_results import FEW
from activmask.evaluation.sides import Area

CLOSE = 0.1
"""An AUC is said to be at chance where its interval holds 0.5 and ends within this of it."""


def too_narrow(subjects: int) -> list[str]:
    """A sentence on intervals of few subjects; none where there are enough."""
    if subjects >= FEW:
        return []
    return [f"The intervals are of {subjects} subjects, which are few for a bootstrap: they are too narrow."]


def is_close(area: Area) -> bool:
    """Whether an interval says that there is at most little to tell; never without one."""
    if area.low is None or area.high is None:
        return False
    return area.low <= 0.5 <= area.high and area.most <= CLOSE


def with_interval(area: Area) -> str:
    """An AUC, and its interval where that says anything."""
    ends = telling_ends(area.low, area.high)
    return f"{area.auc:.2f}" if ends is None else f"{area.auc:.2f} (95 % {ends[0]:.2f} to {ends[1]:.2f})"


def telling_ends(low: float | None, high: float | None) -> tuple[float, float] | None:
    """The ends of an interval; None where there is none, or one point, which tells no uncertainty."""
    return None if low is None or high is None or low == high else (low, high)


def beside_chance(area: Area, *, told: bool, subjects: int, chance_distance: float) -> str:
    """A clause, with its comma, on where an AUC stands; empty of one that is told from chance above 0.5.

    Args:
        area: the AUC.
        told: whether it is told from chance, as one of those that are tested together.
        subjects: how many its interval is of.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
    """
    if told:
        return ", worse than chance" if area.auc < 0.5 else ""
    if is_close(area):
        return f", at chance within {CLOSE:g}"
    untold = f", not told from chance by {subjects} subjects"
    if area.informs(chance_distance):
        return f"{untold}, as several are tested together"
    if area.least > 0 and area.distance <= chance_distance:
        low, high = max(0.0, 0.5 - chance_distance), min(1.0, 0.5 + chance_distance)
        return f"{untold}, where chance reaches {low:.2f} to {high:.2f}"
    return untold
