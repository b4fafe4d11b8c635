"""Where the seeds of the synthetic benchmark ended, which a mean and an SD over them hide.

A network there counts the crosses (accuracy 1), follows the box, which lies in validation and test
(0), or does neither (0.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

COUNTED = 0.9
"""Least accuracy of a network that counts."""
CHANCE = (0.4, 0.6)
"""Accuracies between which a network sits at chance."""
BOX = 0.1
"""Highest accuracy of a network that follows the box."""

_HALF_A_DIGIT, _DIGIT = 0.005, 0.01
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Outcomes:
    """Of how many seeds which is true; those of none are left over."""

    counted: int
    chance: int
    box: int

    def __str__(self) -> str:
        """For tables, for example `9/0/1`."""
        return f"{self.counted}/{self.chance}/{self.box}"


def outcomes(accuracies: Sequence[float]) -> Outcomes:
    """Count the seeds by accuracy, each in [0, 1]."""
    return Outcomes(
        counted=sum(value >= COUNTED for value in accuracies),
        chance=sum(CHANCE[0] <= value <= CHANCE[1] for value in accuracies),
        box=sum(value <= BOX for value in accuracies),
    )


def decoded(mean: float, sd: float | None, seeds: int = 10) -> Outcomes | None:
    """The seeds at accuracy 1, 0.5 and 0 that a printed mean and SD can only come from.

    Args:
        mean: of the accuracies, printed with two digits.
        sd: their sample standard deviation (n - 1), printed with two digits, rounded or cut off.
        seeds: how many there were, each at 1, 0.5 or 0.

    Returns:
        None where none or several splits of the seeds would be printed so, or no SD was.
    """
    if sd is None:
        return None
    possible = [
        Outcomes(counted, seeds - counted - box, box)
        for counted in range(seeds + 1)
        for box in range(seeds + 1 - counted)
    ]
    found = [one for one in possible if _printed_so(one, seeds, mean, sd)]
    return found[0] if len(found) == 1 else None


def _printed_so(one: Outcomes, seeds: int, mean: float, sd: float) -> bool:
    exact = (one.counted + one.chance / 2) / seeds
    squares = one.counted + one.chance / 4 - seeds * exact**2
    deviation = sqrt(max(0.0, squares) / (seeds - 1)) if seeds > 1 else 0.0
    return abs(exact - mean) < _HALF_A_DIGIT + _ROUNDING and abs(deviation - sd) < _DIGIT - _ROUNDING
