"""What a linear probe can tell of images: out-of-fold scores, their AUC, its interval and chance.

Shapes: N images, n of them that take part, D features, K values of what is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import t as student
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from activmask.auditing.leaks.told import CHANCE, Told
from activmask.evaluation.bootstrap import Rows, subject_resamples
from activmask.evaluation.resampled import Counts, counted, ends
from activmask.evaluation.scores import macro_auc
from activmask.training.replicas.resampled_auc import CONFIDENCE, resampled_auc

FOLDS = 5
FEWEST_IMAGES = 10
"""Of a value, for it to take part; they must be of `FOLDS` subjects at least, one to test on in each fold."""

PENALTY = 0.01
"""C of the logistic regression, the inverse of the weight of the squared norm, for standardised features."""

_ITERATIONS = 1000

PERMUTED = 20
"""Times that answers are dealt out anew, to see what a probe scores that has nothing to learn."""

_PERMUTED_IMAGES = 400
"""Most of the images that take part in that; the spread is then scaled to all of them."""

Features = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of some images, and how the answer is tested: the same for whatever is to tell it."""

    rows: Rows
    """int64 (n,), which images take part."""
    truth: NDArray[np.int64]
    """(n,) in [0, K), the answer."""
    values: tuple[str, ...]
    """(K,) what the numbers mean."""
    whose: NDArray[np.int64]
    """(n,) whom each image shows, as numbers."""
    folds: tuple[tuple[Rows, Rows], ...]
    """Which of the n to learn from and which to test on; nobody is in both."""
    counts: Counts | None
    """How often each draw by subject holds each of the n; None of fewer than two subjects."""


def question(values: Sequence[str], subjects: Sequence[str], rows: Rows, *, seed: int) -> Question | str:
    """Ask which of its values each image has, by cross-validation in which nobody is in two folds.

    Empty values take no part, nor do values that fewer than `FEWEST_IMAGES` images or `FOLDS`
    subjects have.

    Args:
        values: (N,) of all images.
        subjects: (N,) whom they show.
        rows: which images are asked.
        seed: of folds and resamples.

    Returns:
        The question, or why it cannot be asked.
    """
    every, whose = np.asarray(values, dtype=object), np.asarray(subjects, dtype=object)
    asked = [
        value for value in sorted(set(every[rows].tolist()) - {""}) if _enough(value, every, whose, rows)
    ]
    if len(asked) < 2:
        return (
            f"telling needs two values that {FEWEST_IMAGES} images of {FOLDS} subjects have; "
            f"there {'is one such value' if asked else 'is none'}"
        )
    numbers = {value: k for k, value in enumerate(asked)}
    part = rows[[value in numbers for value in every[rows]]]
    truth = np.array([numbers[value] for value in every[part]], dtype=np.int64)
    _, groups = np.unique(whose[part].astype(str), return_inverse=True)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    resamples = subject_resamples(truth, whose[part], seed=seed)
    return Question(
        rows=part,
        truth=truth,
        values=tuple(asked),
        whose=groups,
        folds=tuple(splitter.split(truth, truth, groups)),
        counts=None if resamples is None else counted(resamples, len(truth)),
    )


def out_of_fold(
    truths: NDArray[np.int64], folds: Sequence[tuple[Rows, Rows]], features: Features, *, classes: int
) -> Floats:
    """What a logistic regression answers to images of subjects that it did not learn from.

    Features are standardised by the images it learns from, once for all answers, and its weights are
    held small.

    Args:
        truths: int64 (T, n) in [0, K), the answers to learn, each by itself.
        folds: of the n, which to learn from and which to test on.
        features: (n, D).
        classes: K.

    Returns:
        (T, n, K) log odds of each value, which unlike probabilities never saturate; minus infinity of a
        value that no image to learn from had, infinity of the only one that they had.
    """
    scores = np.full((*truths.shape, classes), -np.inf)
    for learnt, tested in folds:
        scaler = StandardScaler().fit(features[learnt])
        known, asked = scaler.transform(features[learnt]), scaler.transform(features[tested])
        for score, truth in zip(scores, truths, strict=True):
            seen = np.unique(truth[learnt])
            if len(seen) == 1:
                score[tested, seen[0]] = np.inf
            else:
                score[np.ix_(tested, seen)] = _log_odds(known, truth[learnt], asked)
    return scores


def _log_odds(known: Features, truth: NDArray[np.int64], asked: Features) -> Floats:
    """Of each value that is learned, in its order, for each image that is asked."""
    model = LogisticRegression(C=PENALTY, max_iter=_ITERATIONS)
    with config_context(assume_finite=True, skip_parameter_validation=True):
        logits = model.fit(known, truth).decision_function(asked).astype(np.float64)
    if logits.ndim == 1:
        return np.column_stack([-logits, logits])
    columns = range(logits.shape[1])
    return np.column_stack([logits[:, k] - logsumexp(np.delete(logits, k, axis=1), axis=1) for k in columns])


def answered(
    asked: Question | str, features: Features | str, *, what: str, source: str, seed: int, within: str = ""
) -> Told:
    """How well features tell what is asked, by `out_of_fold`; or why that cannot be told.

    Args:
        asked: the question of n of N images, or why it cannot be asked.
        features: (N, D), or why there are none.
        what: that is told.
        source: of the features.
        seed: of answers dealt out anew.
        within: the class of all images; empty where they are of all classes.
    """
    if isinstance(asked, str):
        return Told(what=what, source=source, within=within, reason=asked)
    if isinstance(features, str):
        return Told(what=what, source=source, within=within, reason=features)
    own, classes = features[asked.rows], len(asked.values)
    # Products so small are slower on several threads, and far slower on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        [scores] = out_of_fold(asked.truth[None], asked.folds, own, classes=classes)
        auc = _auc(scores, asked.truth)
        low, high = interval(scores, auc, asked)
        chance = learning_chance(asked, own, seed=seed) if low is not None and low > CHANCE else None
    return Told(
        what=what,
        source=source,
        within=within,
        n=len(asked.truth),
        subjects=len(set(asked.whose.tolist())),
        values=asked.values,
        auc=auc,
        low=low,
        high=high,
        chance_distance=None if chance is None else chance.distance,
        p=None if chance is None else chance.p(auc),
    )


@dataclass(frozen=True, kw_only=True)
class LearningChance:
    """What a probe scores that has nothing to learn."""

    mean: float
    """Of its AUCs, less 0.5."""
    spread: float
    """SD of the next one around this mean, which is itself one of `PERMUTED`."""

    @property
    def distance(self) -> float:
        """How far above 0.5 an AUC must lie to be told from it (95 %), in [0, 0.5]."""
        reach = float(student.ppf((1 + CONFIDENCE) / 2, PERMUTED - 1))
        return float(np.clip(self.mean + reach * self.spread, 0, CHANCE))

    def p(self, auc: float) -> float:
        """Of an AUC so far above its mean, two-sided."""
        beyond = auc - CHANCE - self.mean
        if self.spread == 0:
            return float(beyond <= 0)
        return min(1.0, 2 * float(student.sf(beyond / self.spread, PERMUTED - 1)))


def learning_chance(asked: Question, features: Features, *, seed: int) -> LearningChance:
    """What the AUC of a probe is when there is nothing to learn.

    A probe learns from all folds but one, so its scores are no independent draws: with few images and
    many features its AUC spreads wider around 0.5 than that of a fixed score, and than the bootstrap
    of fixed scores says. So answers are dealt out anew, each subject's together but in any order among
    its images, and learned again, in folds that are as equal of the dealt answers as those of the question
    are of its own: unequal ones would press the AUC below 0.5. The next such AUC lies
    where Student's t of `PERMUTED` has it. Of many images some are taken, and the spread is scaled to all.

    Args:
        asked: the question of n images.
        features: (n, D).
        seed: of the draws.
    """
    rng, within, n = np.random.default_rng(seed), np.random.default_rng([seed, 1]), len(asked.truth)
    some = np.sort(rng.permutation(n)[:_PERMUTED_IMAGES])
    whose = asked.whose[some]
    dealt = np.empty((PERMUTED, len(some)), np.int64)
    for one in dealt:
        order = rng.permutation(n)[whose]
        # Within a subject by chance, too: where each has one image of either class, changing places with
        # another subject changes no answer.
        drawn = np.lexsort((within.random(len(some)), order))
        one[np.argsort(whose, kind="stable")] = asked.truth[some][drawn]
    areas = []
    for one in dealt:
        [scores] = out_of_fold(one[None], _folds(one, whose, rng), features[some], classes=len(asked.values))
        areas.append(_auc(scores, one))
    spread = float(np.std(areas, ddof=1)) * (len(some) / n) ** 0.5
    return LearningChance(mean=float(np.mean(areas)) - CHANCE, spread=spread * (1 + 1 / PERMUTED) ** 0.5)


def _folds(
    truth: NDArray[np.int64], whose: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[Rows, Rows]]:
    """`FOLDS` folds of subjects, as equal as can be of what most of a subject's images are."""
    subjects, numbers = np.unique(whose, return_inverse=True)
    votes = np.zeros((len(subjects), int(truth.max()) + 1), np.int64)
    np.add.at(votes, (numbers, truth), 1)
    order = np.lexsort((rng.random(len(subjects)), votes.argmax(axis=1)))
    fold = np.empty(len(subjects), np.int64)
    fold[order] = np.arange(len(subjects)) % FOLDS
    return [(np.flatnonzero(fold[numbers] != k), np.flatnonzero(fold[numbers] == k)) for k in range(FOLDS)]


def interval(scores: Floats, auc: float, asked: Question) -> tuple[float | None, float | None]:
    """The ends of the 95 % interval of an AUC, of scores (n, K); both None of fewer than two subjects."""
    if asked.counts is None:
        return None, None
    return ends(resampled_auc(scores, asked.truth, asked.counts), auc)


def _auc(scores: Floats, truth: NDArray[np.int64]) -> float:
    """Of two values the AUC of the second, else the mean of each against the rest; scores (n, K)."""
    return macro_auc(scores[:, 1:], 1 - truth) if scores.shape[1] == 2 else macro_auc(scores, truth)


def one_hot(values: Sequence[str]) -> Features:
    """Which value each image has, (N, K); no 1 where it is empty, so that what is unknown may tell too."""
    different = sorted(set(values) - {""})
    return np.array([[value == one for one in different] for value in values], dtype=np.float32)


def _enough(value: str, values: NDArray[np.object_], subjects: NDArray[np.object_], rows: Rows) -> bool:
    own = rows[values[rows] == value]
    return len(own) >= FEWEST_IMAGES and len(set(subjects[own].tolist())) >= FOLDS
