"""The mean AUC over several labels, with its interval over subjects.

Shapes: n images of which a label is known, S subjects, L labels, R draws.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activmask.ground.shown import shown
from activmask.training.replicas.resampled_auc import CONFIDENCE, RESAMPLES, areas
from activmask.training.replicas.roc_area import roc_area

_MOST_TRIES = 20
"""As many times as draws are needed; where even these are too few, what is left is no bootstrap."""


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """What a network says of one label, of the images of which it is known."""

    label: str
    """Foreign text."""
    scores: NDArray[np.float64]
    """(n,)"""
    truth: NDArray[np.int64]
    """(n,) of 0 and 1."""
    subjects: tuple[str, ...]
    """(n,), whom each image shows."""


@dataclass(frozen=True, kw_only=True)
class MeanAuc:
    """The mean of the AUCs of several labels."""

    labels: int
    """How many have an AUC on these images; the mean is theirs."""
    auc: float
    """In [0, 1]; 0.5 is chance."""
    low: float | None
    """Lower end of its 95 % interval; None where `reason` says why there is none."""
    high: float | None
    """Upper end of it."""
    redrawn: int
    """How many draws lacked one answer to a label and were drawn again."""
    reason: str
    """Why there is no interval; empty where there is one."""

    @property
    def of_interval(self) -> str:
        """What the interval is, or why there is none, in a sentence."""
        if self.reason:
            return f"The mean has no interval: {self.reason}."
        again = (
            f"; {self.redrawn} more lacked an answer to a label, and were drawn again" if self.redrawn else ""
        )
        return (
            f"The interval of the mean is of {RESAMPLES} draws of subjects, the same for all labels, so it "
            f"knows how far they go together{again}."
        )

    @property
    def in_words(self) -> str:
        """Its value, and what its interval is, in two sentences."""
        ends = "" if self.low is None else f" (95 % {self.low:.2f} to {self.high:.2f})"
        return f"Mean AUC over {self.labels} labels: {self.auc:.2f}{ends}. {self.of_interval}"

    def interval_to_json(self) -> dict[str, Any]:
        """The interval alone, as a plain dictionary."""
        return {name: value for name, value in asdict(self).items() if name not in {"labels", "auc"}}


def mean_auc(of_labels: Sequence[LabelScores], *, seed: int) -> MeanAuc | None:
    """The mean AUC over labels, and its 95 % interval by a percentile bootstrap over subjects.

    A draw takes subjects with replacement, each with all of its images, and the same ones for every label, so
    that the interval knows how far labels go together (Davison & Hinkley 1997, sec. 3.8). It takes them from
    all alike: subjects of one label's class are of either class of the others, so none is stratified. A draw
    in which a label has one answer alone is drawn again, so that every AUC exists; where a class of a label
    is one subject's alone, or too many draws would have to be, there is no interval. Percentiles that would
    miss the mean are widened to hold it.

    Args:
        of_labels: those of which one answer alone is known have no AUC, and are left out.
        seed: of the draws.

    Returns:
        None where no label has an AUC.
    """
    told = [one for one in of_labels if len(np.unique(one.truth)) == 2]
    if not told:
        return None
    value = fmean(roc_area(one.scores, one.truth == 1) for one in told)
    names = sorted({name for one in told for name in one.subjects})
    number = {name: k for k, name in enumerate(names)}
    rows = [np.array([number[name] for name in one.subjects], np.int64) for one in told]
    holds = _holds(told, rows, len(names))
    reason = _alone(told, holds)
    drawn, redrawn = ([], 0) if reason else _drawn(holds, np.random.default_rng(seed))
    if not reason and len(drawn) < RESAMPLES:
        reason = (
            f"in {redrawn} of {redrawn + len(drawn)} draws of subjects a label is true of all or of none, so "
            "too few are left"
        )
    if reason:
        return MeanAuc(labels=len(told), auc=value, low=None, high=None, redrawn=redrawn, reason=reason)
    counts = np.stack(drawn)
    means = np.mean(
        [areas(one.scores, one.truth == 1, counts, own) for one, own in zip(told, rows, strict=True)], axis=0
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.quantile(means, [tail, 1 - tail]))
    return MeanAuc(
        labels=len(told),
        auc=value,
        low=min(low, value),
        high=max(high, value),
        redrawn=redrawn,
        reason="",
    )


def label_scores_of(
    logits: Tensor, labels: Tensor, subjects: Sequence[str], names: Sequence[str]
) -> tuple[LabelScores, ...]:
    """What logits (N, L) say of labels (N, L) of 0 and 1, -1 where unknown, of images of N subjects."""
    people = np.asarray(subjects, dtype=object)
    wide, truth = logits.double().numpy(), labels.numpy()
    return tuple(
        LabelScores(
            label=name,
            scores=wide[known, k],
            truth=truth[known, k],
            subjects=tuple(people[known].tolist()),
        )
        for k, name in enumerate(names)
        for known in [truth[:, k] >= 0]
    )


def _holds(told: Sequence[LabelScores], rows: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.float64]:
    """Which of S subjects has images of each answer to each label, (S, 2 L) of 0 and 1."""
    found = np.zeros((n, 2 * len(told)))
    for k, (one, own) in enumerate(zip(told, rows, strict=True)):
        found[own, 2 * k + one.truth] = 1
    return found


def _alone(told: Sequence[LabelScores], holds: NDArray[np.float64]) -> str:
    """A clause on the first label of which an answer is one subject's alone; empty if none is."""
    few = np.flatnonzero(holds.sum(axis=0) < 2)
    if not len(few):
        return ""
    label, answer = told[int(few[0]) // 2].label, "true" if few[0] % 2 else "false"
    return f"{shown(label)} is {answer} of one subject alone"


def _drawn(holds: NDArray[np.float64], rng: np.random.Generator) -> tuple[list[NDArray[np.uint16]], int]:
    """How often each draw holds each of S subjects, uint16 (S,), and how many were drawn again."""
    n, redrawn = len(holds), 0
    found: list[NDArray[np.uint16]] = []
    while len(found) < RESAMPLES and len(found) + redrawn < _MOST_TRIES * RESAMPLES:
        counts = np.bincount(rng.integers(n, size=n), minlength=n)
        if (counts @ holds).all():
            found.append(counts.astype(np.uint16))
        else:
            redrawn += 1
    return found, redrawn
