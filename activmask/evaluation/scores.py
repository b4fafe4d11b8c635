"""How well a classifier scores, with the uncertainty of it.

Shapes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from torch import Tensor

from activmask.ground.errors import CheckpointError
from activmask.training.replicas import predictions
from activmask.training.replicas.resampled_auc import CONFIDENCE, RESAMPLES

AucKind = Literal["ROC AUC", "macro one-vs-rest ROC AUC", "mean ROC AUC over labels"]


@dataclass(frozen=True)
class Interval:
    """A confidence interval of an AUC."""

    low: float
    """Lower end, in [0, 1]."""
    high: float
    """Upper end, in [0, 1]."""
    confidence: float
    """Coverage the method aims at, such as 0.95."""
    method: Literal["DeLong", "bootstrap percentile"]
    """How it was computed."""


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """The scores of one set of images."""

    n: int
    """Number of images."""
    auc_kind: AucKind
    """Which AUC `auc` is."""
    auc: float | None
    """In [0, 1]; None when `reason` says why there is none."""
    interval: Interval | None
    """Around `auc`; None without an AUC, or when a class has one image only."""
    accuracy: float
    """Share of images whose highest logit is their label's."""
    reason: str | None
    """Why there is no AUC."""


def score_report(logits: Tensor, labels: Tensor, rng: np.random.Generator) -> ScoreReport:
    """Score logits by ROC AUC with a 95 % interval and by accuracy.

    Two classes: ROC AUC of the contrast y1 - y0, with DeLong's interval. More: the mean of the
    one-vs-rest AUCs of the softmax probabilities, with a bootstrap interval.

    Args:
        logits: (N, K), finite.
        labels: int64 (N,) in [0, K).
        rng: draws the bootstrap; unused for two classes.

    Raises:
        CheckpointError: a logit is NaN or infinite.
    """
    check_finite(logits)
    kind: AucKind = "ROC AUC" if logits.shape[1] == 2 else "macro one-vs-rest ROC AUC"
    reason = why_no_auc(labels, logits.shape[1])
    value = None if reason else auc(logits, labels)
    interval = None if value is None else _interval(logits, labels, rng)
    return ScoreReport(
        n=len(labels),
        auc_kind=kind,
        auc=value,
        interval=interval,
        accuracy=accuracy(logits, labels),
        reason=reason,
    )


def check_finite(logits: Tensor) -> None:
    """Refuse logits that cannot be ranked (raises CheckpointError)."""
    broken = int((~torch.isfinite(logits)).any(dim=1).sum())
    if broken:
        raise CheckpointError(
            f"the network's scores of {broken} of {len(logits)} images are not finite numbers, so they "
            "cannot be ranked; the checkpoint's weights are unusable, train again or take an earlier one"
        )


def why_no_auc(labels: Tensor, classes: int) -> str | None:
    """The reason an AUC does not exist for these labels, or None when it does."""
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if not missing:
        return None
    return f"no image of class {', '.join(map(str, missing))}"


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of images whose highest logit is their label's; equal logits go to the lower class."""
    return float((logits.argmax(dim=1) == labels).double().mean())


def auc(logits: Tensor, labels: Tensor) -> float:
    """ROC AUC of y1 - y0 for two classes, else the macro mean of the one-vs-rest AUCs.

    Args:
        logits: (N, K).
        labels: int64 (N,), every class present.

    Returns:
        In [0, 1]; 0.5 is chance, and below it the ranking is reversed.
    """
    return predictions.score(logits, labels).auc


def class_scores(logits: Tensor) -> NDArray[np.float64]:
    """float64 (N, K): per class the score its one-vs-rest AUC ranks by."""
    wide = logits.double()
    if logits.shape[1] == 2:
        contrast = wide[:, 1] - wide[:, 0]
        return np.stack([-contrast.numpy(), contrast.numpy()], axis=1)
    return np.asarray(wide.softmax(dim=1).numpy())


def _interval(logits: Tensor, labels: Tensor, rng: np.random.Generator) -> Interval | None:
    values, truth = class_scores(logits), labels.numpy()
    if np.bincount(truth).min() < 2:
        return None
    if logits.shape[1] == 2:
        return delong_interval(values[truth == 1, 1], values[truth == 0, 1])
    return _bootstrap_interval(values, truth, rng)


def delong_variance(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> tuple[float, float]:
    """The ROC AUC and the variance of it.

    DeLong et al. 1988 (doi 10.2307/2531595), by the midranks of Sun & Xu 2014
    (doi 10.1109/LSP.2014.2337313), which take O(n log n) instead of O(n^2).

    Args:
        positives: scores of the positive images, at least two.
        negatives: scores of the negative images, at least two.

    Returns:
        AUC and variance.
    """
    m, n = len(positives), len(negatives)
    ranks = rankdata(np.concatenate([positives, negatives]))
    below_positive = (ranks[:m] - rankdata(positives)) / n
    above_negative = 1 - (ranks[m:] - rankdata(negatives)) / m
    variance = below_positive.var(ddof=1) / m + above_negative.var(ddof=1) / n
    return float(below_positive.mean()), float(variance)


def delong_interval(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> Interval:
    """The normal 95 % interval of a ROC AUC with DeLong's variance, clipped to [0, 1].

    At an AUC of exactly 0 or 1 the variance is 0 and the interval degenerates to a point: it then
    says nothing about the uncertainty, which few images still leave large.
    """
    area, variance = delong_variance(positives, negatives)
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * variance**0.5
    return Interval(max(0.0, area - half), min(1.0, area + half), CONFIDENCE, "DeLong")


def _bootstrap_interval(
    values: NDArray[np.float64], truth: NDArray[np.int64], rng: np.random.Generator
) -> Interval:
    """Percentiles of the macro AUC over resamples drawn within each class, so that none goes missing."""
    members = [np.flatnonzero(truth == k) for k in range(values.shape[1])]
    areas = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in members])
        areas.append(macro_auc(values[drawn], truth[drawn]))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(areas, [tail, 1 - tail])
    return Interval(float(low), float(high), CONFIDENCE, "bootstrap percentile")


def macro_auc(values: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The macro one-vs-rest AUC by rank sums; scikit-learn's call is too slow a thousand times over."""
    ranks = rankdata(values, axis=0)
    positive = truth[:, None] == np.arange(values.shape[1])
    m = positive.sum(axis=0)
    areas = ((ranks * positive).sum(axis=0) - m * (m + 1) / 2) / (m * (len(truth) - m))
    return float(areas.mean())


def chance_distance(labels: Tensor, classes: int) -> float:
    """How far from 0.5 an AUC must lie to be told from chance with 95 % confidence.

    The normal approximation of the null distribution of Mann & Whitney 1947 (doi
    10.1214/aoms/1177730491): variance (m + n + 1) / (12 m n). For more than two classes, the mean
    deviation of the one-vs-rest comparisons, which bounds the deviation of their mean.

    Returns:
        In (0, 0.5].
    """
    total = len(labels)
    deviations = []
    for k in [1] if classes == 2 else range(classes):
        m = int((labels == k).sum())
        deviations.append(((total + 1) / (12 * m * (total - m))) ** 0.5)
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    return min(0.5, z * float(np.mean(deviations)))


def chance_over_subjects(
    labels: NDArray[np.int64], subjects: Sequence[str] | NDArray[np.object_], classes: int
) -> float:
    """`chance_distance` of images some of which show the same subject.

    Where each subject is of one class, its images count as one: they may all be ranked alike.

    Args:
        labels: int64 (N,), every class present.
        subjects: (N,), whom each image shows.
        classes: K.
    """
    names = np.asarray(subjects, dtype=object).astype(str)
    _, first, numbers = np.unique(names, return_index=True, return_inverse=True)
    of_subjects = labels[first]
    pure = bool((of_subjects[numbers] == labels).all())
    return chance_distance(torch.from_numpy(of_subjects if pure else labels), classes)
