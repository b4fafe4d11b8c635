"""Intervals over subjects: whoever is shown twice is drawn as one.

Shapes: N images.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from activmask.data.subjects import strata
from activmask.evaluation.scores import CONFIDENCE, RESAMPLES

Rows = NDArray[np.int64]
"""Which images are drawn, int64 (m,); an image may be drawn more than once."""


def subject_resamples(
    labels: NDArray[np.int64], subjects: Sequence[str] | NDArray[np.object_], *, seed: int
) -> list[Rows] | None:
    """`RESAMPLES` draws of subjects with replacement, each with all of its images.

    Subjects are drawn within the class that most of their images have (Davison & Hinkley 1997,
    sec. 3.8), and a draw that lacks a class is drawn again, so that every AUC exists. The same
    draws serve every score of the same images, so that differences are paired.

    Args:
        labels: int64 (N,).
        subjects: (N,), whom each image shows.
        seed: of the draws.

    Returns:
        None of fewer than two subjects.
    """
    names = np.asarray(subjects, dtype=object)
    groups = strata(names, labels)
    if sum(map(len, groups)) < 2:
        return None
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(name, []).append(row)
    members = {name: np.array(rows, np.int64) for name, rows in rows_of.items()}
    rng, present = np.random.default_rng(seed), len(np.unique(labels))
    found: list[Rows] = []
    while len(found) < RESAMPLES:
        chosen = [group[k] for group in groups for k in rng.integers(len(group), size=len(group))]
        drawn = np.concatenate([members[subject] for subject in chosen])
        if len(np.unique(labels[drawn])) == present:
            found.append(drawn)
    return found


def percentile_interval(
    measure: Callable[[Rows], float], resamples: Sequence[Rows] | None
) -> tuple[float | None, float | None]:
    """The ends of the 95 % percentile interval of a measure over draws; both None without draws."""
    if resamples is None:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile([measure(rows) for rows in resamples], [tail, 1 - tail])
    return float(low), float(high)
