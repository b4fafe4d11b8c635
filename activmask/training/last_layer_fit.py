"""A linear last layer fitted anew to features, groups alike (DFR: Kirichenko et al. 2023, arXiv 2204.02937).

L1 logistic regression over standardised features, its strength chosen on a half of the images, then the mean
of fits to several draws that take as many images of every group (sec. 4 and app. B there).

Shapes: N images, D features, K classes, G groups.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from activmask.data.groups import Groups
from activmask.ground.errors import DataError

DRAWS = 10
"""Draws of as many images of every group, whose fits are averaged."""

STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
"""Of the regression, the inverse of its penalty's weight, as the authors tried them."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LastLayer:
    """Logits of features: `weight` times these, plus `bias`."""

    weight: Floats
    """(K, D)."""
    bias: Floats
    """(K,)."""

    def logits(self, features: Floats) -> Floats:
        """(N, K) of features (N, D)."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A last layer, and of which images it is made."""

    layer: LastLayer
    strength: float
    """Which of `STRENGTHS` was chosen."""
    per_group: int
    """Images of each group in a draw: those of the smallest."""
    used: int
    """Images that were in any draw."""


def fitted_last_layer(
    features: Floats,
    labels: Rows,
    groups: Groups,
    subjects: Sequence[str],
    *,
    classes: int,
    seed: int,
    data: str,
) -> Fitted:
    """Fit a last layer to features.

    Args:
        features: (N, D), the inputs of the last layer.
        labels: int64 (N,).
        groups: of the N images.
        subjects: (N,), whom each shows; nobody is in both of the halves that choose the strength.
        classes: K.
        seed: of halves, draws and the solver.
        data: the data set's name, for errors.

    Raises:
        DataError: a class or a group is missing in a half.
    """
    rng = np.random.default_rng(seed)
    first, second = _halves(groups, subjects, rng)
    for half in (first, second):
        _check_half(groups.members[half], groups, labels[half], classes, data)
    strength = max(
        STRENGTHS, key=lambda one: (_worst(features, labels, groups, first, second, one, classes), -one)
    )
    draws = [balanced_draw_of_groups(groups.members, rng) for _ in range(DRAWS)]
    return Fitted(
        layer=mean_fit(features, labels, draws, strength, classes),
        strength=strength,
        per_group=len(draws[0]) // len(groups),
        used=len(np.unique(np.concatenate(draws))),
    )


def balanced_draw_of_groups(members: Rows, rng: np.random.Generator) -> Rows:
    """As many images of every group as the smallest has, sorted, int64 (n,); members (N,) from 0 on."""
    sizes = np.bincount(members)
    chosen = [
        rng.choice(np.flatnonzero(members == group), sizes[sizes > 0].min(), replace=False)
        for group in np.flatnonzero(sizes)
    ]
    return np.sort(np.concatenate(chosen))


def mean_fit(
    features: Floats, labels: Rows, draws: Sequence[Rows], strength: float, classes: int
) -> LastLayer:
    """The mean of the regressions of some draws, as a layer of the features as they are.

    Of two classes the logits are half the regression's contrast, with either sign, so that their softmax is
    its probability. Of more, each class's is that of a regression against the rest.

    Args:
        features: (N, D), standardised here, by their means and standard deviations over all N.
        labels: int64 (N,).
        draws: rows of the images, at least one.
        strength: see `STRENGTHS`.
        classes: K.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    found = [_contrasts(scaled[rows], labels[rows], strength, classes) for rows in draws]
    slopes, intercepts = (np.mean([one[k] for one in found], axis=0) for k in (0, 1))
    weight = slopes / scaler.scale_
    bias = intercepts - weight @ scaler.mean_
    if classes == 2:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LastLayer(weight=weight, bias=bias)


def _contrasts(scaled: Floats, labels: Rows, strength: float, classes: int) -> tuple[Floats, Floats]:
    """Slopes (1 or K, D) and intercepts: of class 1 of two, else of each class against the rest."""
    # Importing it takes a second, which other training need not wait for.
    from sklearn.linear_model import LogisticRegression

    slopes, intercepts = [], []
    for label in [1] if classes == 2 else range(classes):
        model = LogisticRegression(
            solver="liblinear", C=strength, random_state=0, max_iter=1000, **l1_penalty()
        )
        model.fit(scaled, labels == label)
        slopes.append(model.coef_[0])
        intercepts.append(model.intercept_[0])
    return np.array(slopes), np.array(intercepts)


@cache
def l1_penalty() -> dict[str, object]:
    """How scikit-learn's regression is told of an L1 penalty: from 1.8 on it warns of the older word."""
    from sklearn.linear_model import LogisticRegression

    old = inspect.signature(LogisticRegression).parameters["penalty"].default == "l2"
    return {"penalty": "l1"} if old else {"l1_ratio": 1.0}


def _worst(
    features: Floats,
    labels: Rows,
    groups: Groups,
    first: Rows,
    second: Rows,
    strength: float,
    classes: int,
) -> float:
    """The worst group's accuracy in one half of a fit to the other."""
    # Every strength is tried on the same draw.
    draw = first[balanced_draw_of_groups(groups.members[first], np.random.default_rng(0))]
    layer = mean_fit(features, labels, [draw], strength, classes)
    right = layer.logits(features[second]).argmax(axis=1) == labels[second]
    members = groups.members[second]
    return float(min(right[members == group].mean() for group in np.unique(members)))


def _halves(groups: Groups, subjects: Sequence[str], rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Two halves of the images, of each group as equal as can be, nobody's images in both."""
    _, first, owners = np.unique(np.asarray(subjects, dtype=str), return_index=True, return_inverse=True)
    kinds = groups.members[first]
    side = np.zeros(len(first), dtype=np.int64)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        side[own[rng.permutation(len(own))]] = np.arange(len(own)) % 2
    of_images = side[owners]
    return np.flatnonzero(of_images == 0), np.flatnonzero(of_images == 1)


def _check_half(members: Rows, groups: Groups, labels: Rows, classes: int, data: str) -> None:
    lacking = [groups.name(k) for k in range(len(groups)) if not (members == k).any()]
    lacking += [f"class {k}" for k in range(classes) if not (labels == k).any()]
    if lacking:
        raise DataError(
            f"a half of the validation images has none of {lacking[0]}, so that no last layer can be fitted "
            "to one half and judged by the other",
            path=data,
            advice="validate on images of at least two subjects of every group",
        )
