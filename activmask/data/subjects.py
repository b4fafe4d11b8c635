"""Subjects as wholes: grouping them and sharing them out, so that nobody is in two splits.

Shapes: N images, each of one subject.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from activmask.data.files.likeness import is_missing, names_alike
from activmask.ground.errors import DataError


def find_straddler(subjects: Sequence[str], splits: Sequence[str]) -> tuple[int, int] | None:
    """Two rows in which one subject is in two splits, or None."""
    first: dict[str, int] = {}
    for row, subject in enumerate(subjects):
        known = first.setdefault(subject, row)
        if splits[known] != splits[row]:
            return known, row
    return None


def refuse_unknown(subjects: Sequence[str]) -> None:
    """Refuse subjects of whom nobody knows who they are, and names that a reader would take for one.

    Args:
        subjects: (N,) whom each image shows.

    Raises:
        DataError: names the first.
    """
    unknown = [k for k, one in enumerate(subjects) if is_missing(one) or one.casefold() == "none"]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(subjects)} images have no subject, the first image {unknown[0]}, so "
            "that nobody knows which are of one person",
            advice="give each a subject, or leave those images out",
        )
    if alike := names_alike(subjects):
        raise DataError(
            "subjects differ in case, spaces or the form of numbers alone",
            found=" and ".join(map(repr, alike[0])),
            advice="write who is one in one way, and who is not in ways that differ more",
        )


def strata(subjects: np.ndarray, kinds: np.ndarray) -> list[list[str]]:
    """Subjects, sorted by name, grouped by the kind most of their images have (ties: the least)."""
    groups: dict[int, list[str]] = defaultdict(list)
    for subject, counts in sorted(kind_counts(subjects, kinds).items()):
        groups[max(sorted(counts), key=lambda kind: counts[kind])].append(subject)
    return [groups[kind] for kind in sorted(groups)]


def kind_counts(subjects: np.ndarray, kinds: np.ndarray) -> dict[str, dict[int, int]]:
    """How many images of each kind each subject has."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for subject, kind in zip(subjects, kinds.tolist(), strict=True):
        counts[subject][kind] += 1
    return counts


def whole_sizes(ideal: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers near `ideal` that sum to `total`, each at least 1 if the total allows.

    Largest remainders; `ideal` carries what rounding owed to earlier strata.
    """
    sizes: np.ndarray = np.maximum(np.floor(ideal), 0).astype(np.int64)
    while sizes.sum() != total:
        gap = ideal - sizes
        if sizes.sum() < total:
            sizes[np.argmax(gap)] += 1
        else:
            sizes[np.argmin(np.where(sizes > 0, gap, np.inf))] -= 1
    while total >= 3 and (sizes == 0).any():
        sizes[np.argmax(sizes)] -= 1
        sizes[np.argmin(sizes)] += 1
    return sizes
