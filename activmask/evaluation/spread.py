"""Mean and standard deviation of a number over the seeds of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """A number over several seeds."""

    mean: float
    """Mean of the seeds that have the number."""
    sd: float | None
    """Sample standard deviation (n - 1), None for one seed."""
    n: int
    """How many seeds have it."""


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean and SD of the values that exist, or None when none does."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Spread(float(np.mean(known)), sd, len(known))
