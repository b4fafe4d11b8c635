"""How well a classifier scores, with the uncertainty of it.

Shapes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from activmask.evaluation.estimate import Drawn, counts_over_subjects
from activmask.evaluation.resampled import Counts
from activmask.ground.errors import CheckpointError
from activmask.training.replicas.predictions import auc, lead_over_rest
from activmask.training.replicas.resampled_auc import CONFIDENCE, resampled_auc

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
    method: Literal["bootstrap over subjects"]
    """How it was computed: percentiles, of draws of subjects with all of their images."""


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
    """Around `auc`; None without an AUC, or when a class is of one subject only."""
    accuracy: float
    """Share of images whose highest logit is their label's."""
    reason: str | None
    """Why there is no AUC."""


def score_report(logits: Tensor, labels: Tensor, subjects: Sequence[str], *, seed: int) -> ScoreReport:
    """Score logits by ROC AUC with a 95 % interval and by accuracy.

    Two classes: ROC AUC of the contrast y1 - y0. More: the mean of the one-vs-rest AUCs, see
    `lead_over_rest`. The interval is of percentiles of a bootstrap that draws subjects with all of their
    images (Davison & Hinkley 1997, sec. 3.8): images of one subject are no evidence of each other. At an
    AUC of exactly 0 or 1 it degenerates to a point: it then says nothing about the uncertainty, which few
    images still leave large.

    Args:
        logits: (N, K), finite.
        labels: int64 (N,) in [0, K).
        subjects: (N,), whom each image shows.
        seed: of the bootstrap.

    Raises:
        CheckpointError: a logit is NaN or infinite.
    """
    check_finite(logits)
    kind: AucKind = "ROC AUC" if logits.shape[1] == 2 else "macro one-vs-rest ROC AUC"
    reason = why_no_auc(labels, logits.shape[1])
    value = None if reason else auc(logits, labels)
    interval = None if value is None else _interval(value, logits, labels, subjects, seed)
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


def class_scores(logits: Tensor) -> NDArray[np.float64]:
    """float64 (N, K): per class the score its one-vs-rest AUC ranks by."""
    wide = logits.double()
    if logits.shape[1] == 2:
        contrast = wide[:, 1] - wide[:, 0]
        return np.stack([-contrast.numpy(), contrast.numpy()], axis=1)
    return np.asarray(lead_over_rest(wide).numpy())


def _interval(
    value: float, logits: Tensor, labels: Tensor, subjects: Sequence[str], seed: int
) -> Interval | None:
    found = auc_over_subjects(
        value, logits, labels, counts_over_subjects(labels.numpy(), subjects, seed=seed)
    )
    one = found.estimate()
    if one.low is None or one.high is None:
        return None
    return Interval(one.low, one.high, CONFIDENCE, "bootstrap over subjects")


def auc_over_subjects(value: float, logits: Tensor, labels: Tensor, counts: Counts | None) -> Drawn:
    """The `auc` of logits (N, K), which is known, and that of each draw of subjects, counts (R, N)."""
    if counts is None:
        return Drawn(value, None)
    return Drawn(value, resampled_auc(class_scores(logits), labels.numpy(), counts))


def drawn_auc(values: NDArray[np.float64], truth: NDArray[np.int64], counts: Counts | None) -> Drawn:
    """The macro AUC of scores, and that of each draw of subjects; arguments as of `resampled_auc`."""
    return Drawn(macro_auc(values, truth), None if counts is None else resampled_auc(values, truth, counts))


def macro_auc(values: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The macro one-vs-rest AUC by rank sums; scikit-learn's call is too slow a thousand times over."""
    # Importing it takes a second, which what was kept need not wait for.
    from scipy.stats import rankdata

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
    truth = labels.numpy()
    return _chance(truth, classes, [np.arange(len(truth))])


def chance_over_subjects(
    labels: NDArray[np.int64], subjects: Sequence[str] | NDArray[np.object_], classes: int
) -> float:
    """`chance_distance` of images some of which show the same subject.

    Scores that tell nothing of the classes may still tell subjects apart. So the larger variance is taken of
    two: that of images in random order, and that of subjects in random order, the images of each ranked
    alike. Someone who is shown often, or whose images are of two classes, counts as such.

    Args:
        labels: int64 (N,), every class present.
        subjects: (N,), whom each image shows.
        classes: K.
    """
    _, owners = np.unique(np.asarray(subjects, dtype=object).astype(str), return_inverse=True)
    return _chance(labels, classes, [np.arange(len(labels)), owners])


def _chance(labels: NDArray[np.int64], classes: int, ranked: Sequence[NDArray[np.int64]]) -> float:
    """The distance where owners, int64 (N,), are ranked by chance: of several ways, that of the largest."""
    deviations = [
        max(_variance(labels == k, owners) for owners in ranked) ** 0.5
        for k in ([1] if classes == 2 else range(classes))
    ]
    z = float(ndtri((1 + CONFIDENCE) / 2))
    return min(0.5, z * float(np.mean(deviations)))


def _variance(positive: NDArray[np.bool_], owners: NDArray[np.int64]) -> float:
    """The variance of an AUC where owners are ranked in random order, the images of each alike.

    With m_i positives and n_i others of owner i, of m and n in all, and a_ij = m_i n_j - m_j n_i, the AUC is
    0.5 plus the sum over pairs of s_ij a_ij / (2 m n). The signs s_ij of the order of i and j are as often 1
    as -1, and the mean of s_ij s_ik is 1/3. Of owners of one image each that is (m + n + 1) / (12 m n).
    """
    yes, no = (np.bincount(owners, weights=side) for side in (positive, ~positive))
    m, n = yes.sum(), no.sum()
    pairs = (yes @ yes) * (no @ no) - (yes @ no) ** 2
    of_owners = ((yes * n - no * m) ** 2).sum()
    return float((pairs + of_owners) / (12 * (m * n) ** 2))
