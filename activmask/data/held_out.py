"""A part of the training split that nobody trains on: validation of the training distribution.

Shapes: N images of the training split. Nobody's images are on both sides.
"""

from collections.abc import Sequence

import numpy as np

from activmask.data.subjects import strata
from activmask.ground.errors import DataError


def held_out(
    *,
    names: Sequence[str],
    labels: np.ndarray,
    subjects: Sequence[str],
    sites: Sequence[str],
    share: float,
    seed: int,
) -> np.ndarray:
    """Draw whole subjects from a training split, stratified by class and site.

    Both sides keep the shares of class and site as far as whole subjects allow, so whatever goes with a
    class in training goes with it here.

    Args:
        names: (N,) distinct names of the images, which identify them whatever their order.
        labels: int64 (N,) classes.
        subjects: (N,) whom each image shows.
        sites: (N,) where each image was made.
        share: of the subjects to hold out, more than 0 and less than 1.
        seed: decides which.

    Returns:
        bool (N,), true for what is held out.

    Raises:
        DataError: a class would be missing on one side.
    """
    order = np.argsort(np.asarray(names, dtype=object), kind="stable")
    whose, where = (np.asarray(column, dtype=object)[order] for column in (subjects, sites))
    kinds = _kinds(np.asarray(labels)[order], where)
    # A sequence, so that it draws nothing that a split of the same seed draws.
    rng = np.random.default_rng([seed, 1])
    chosen: set[str] = set()
    owed = 0.0
    for stratum in strata(whose, kinds):
        owed += share * len(stratum)
        taken = min(max(int(owed + 0.5), 0), len(stratum))
        owed -= taken
        chosen |= {stratum[i] for i in rng.permutation(len(stratum))[:taken]}
    held = np.array([subject in chosen for subject in subjects], dtype=np.bool_)
    _check(np.asarray(labels), held, share)
    return held


def _kinds(labels: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """(N,) a number for each combination of class and site that occurs."""
    _, numbers = np.unique(sites.astype(str), return_inverse=True)
    return np.asarray(labels * (1 + int(numbers.max(initial=0))) + numbers)


def _check(labels: np.ndarray, held: np.ndarray, share: float) -> None:
    for side, name in ((held, "in valid_iid"), (~held, "to train on")):
        missing = np.setdiff1d(labels, labels[side])
        if len(missing):
            raise DataError(
                f"holding {share:g} of the training subjects out leaves no image of class {missing[0]} "
                f"{name}; add images, or change valid_iid"
            )
