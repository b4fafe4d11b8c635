"""Accuracy group by group, and the worst of it beside what chance alone makes of it.

Shapes: N images, G groups.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activmask.data.groups import FEWEST, Groups, dealt_anew

_CONFIDENCE = 0.95
_DEALS = 200


@dataclass(frozen=True, kw_only=True)
class GroupAccuracy:
    """The images of one class with one value of a column."""

    label: int
    value: str
    """Foreign text."""
    n: int
    """Images."""
    subjects: int
    accuracy: float
    """In [0, 1]."""
    low: float
    """Lower end of the 95 % interval, see `wilson`."""
    high: float
    """Upper end of it."""


@dataclass(frozen=True, kw_only=True)
class ByGroup:
    """All groups of some images, and the worst of them."""

    by: str
    """The column: `site`, `shortcut` or one of the data set's own."""
    groups: tuple[GroupAccuracy, ...]
    """By class and then by value."""
    unknown: int
    """Images without a value, in no group."""
    worst: GroupAccuracy | None
    """The least accuracy among groups of at least `FEWEST` images; None with fewer than two of these."""
    among: int
    """How many these are: the least of several is low by chance too."""
    chance: float | None
    """The mean of the least accuracy where the column's values are dealt out anew within each class, so that
    they tell nothing; None without a worst group."""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None."""
        return dataclasses.asdict(self)


def by_group(
    correct: NDArray[np.bool_],
    labels: NDArray[np.int64],
    groups: Groups,
    subjects: Sequence[str],
    *,
    seed: int,
) -> ByGroup:
    """The accuracy of every group.

    Args:
        correct: (N,), whether each image was given its class.
        labels: (N,).
        groups: of the N images.
        subjects: (N,), whom each shows.
        seed: of the values that are dealt out anew.
    """
    people = np.asarray(subjects, dtype=object)
    found = tuple(_of_group(k, correct, people, groups) for k in range(len(groups)))
    scored = [k for k, one in enumerate(found) if one.n >= FEWEST]
    worst = min((found[k] for k in scored), key=lambda one: one.accuracy) if len(scored) > 1 else None
    return ByGroup(
        by=groups.by,
        groups=found,
        unknown=int((groups.members < 0).sum()),
        worst=worst,
        among=len(scored),
        chance=None if worst is None else _chance(correct, labels, groups, people, scored, seed),
    )


def _of_group(
    k: int, correct: NDArray[np.bool_], people: NDArray[np.object_], groups: Groups
) -> GroupAccuracy:
    own = groups.members == k
    subjects, share = len(set(people[own].tolist())), float(correct[own].mean())
    low, high = wilson(share, subjects)
    return GroupAccuracy(
        label=groups.labels[k],
        value=groups.values[k],
        n=int(own.sum()),
        subjects=subjects,
        accuracy=share,
        low=low,
        high=high,
    )


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, doi 10.1080/01621459.1927.10502953).

    It holds at shares of 0 and 1 too, where a bootstrap's has no width.

    Args:
        share: in [0, 1].
        n: independent observations behind it; of images that show the same subjects, the subjects.
    """
    # Trainings without groups need not wait for it.
    from scipy.special import ndtri

    z = float(ndtri((1 + _CONFIDENCE) / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def _chance(
    correct: NDArray[np.bool_],
    labels: NDArray[np.int64],
    groups: Groups,
    people: NDArray[np.object_],
    scored: Sequence[int],
    seed: int,
) -> float:
    """The mean of the least accuracy of the same groups once their values are dealt out anew."""
    deals = dealt_anew(groups.members, labels, people.tolist(), np.random.default_rng(seed))
    least = []
    for dealt in islice(deals, _DEALS):
        own = dealt >= 0
        right = np.bincount(dealt[own], weights=correct[own], minlength=len(groups))
        # Subjects of unequally many images change the groups' sizes.
        sizes = np.bincount(dealt[own], minlength=len(groups))
        least.append(float((right[scored] / sizes[scored]).min()))
    return float(np.mean(least))
