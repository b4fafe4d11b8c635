"""Intervals over subjects: whoever is shown twice is drawn as one.

Shapes: N images.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from activmask.data.subjects import strata
from activmask.training.replicas.resampled_auc import CONFIDENCE, RESAMPLES

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
    order = np.argsort(names, kind="stable")
    first = {name: k for k, name in reversed(list(enumerate(names[order])))}
    counts = Counter(names.tolist())
    starts = [np.array([first[name] for name in group], np.int64) for group in groups]
    sizes = [np.array([counts[name] for name in group], np.int64) for group in groups]
    rng, present = np.random.default_rng(seed), len(np.unique(labels))
    # Who is shown once brings one image of the class it is drawn in: every draw then has every class.
    once = len(counts) == len(names)
    found: list[Rows] = []
    while len(found) < RESAMPLES:
        chosen = [rng.integers(len(group), size=len(group)) for group in groups]
        start = np.concatenate([each[k] for each, k in zip(starts, chosen, strict=True)])
        if once:
            found.append(order[start])
            continue
        size = np.concatenate([each[k] for each, k in zip(sizes, chosen, strict=True)])
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        drawn = order[np.repeat(start, size) + within]
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
