"""What a clinician asks of a score: curves, decisions, calibration and groups, together.

Shapes: N images, n validation images, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import confusion_matrix
from torch import Tensor

from activmask.auditing.clinic.calibration import Calibration, calibration
from activmask.auditing.clinic.curves import auc, average_precision
from activmask.auditing.clinic.decisions import Classes, Rates, accuracy, rates
from activmask.auditing.clinic.groups import Column, Judged, by_column
from activmask.auditing.clinic.score import Score, draws
from activmask.auditing.clinic.threshold import Threshold, Wish, find_threshold
from activmask.evaluation.curves import Curve, one_against_rest, precision_recall, roc
from activmask.evaluation.resampled import Counts, Floats
from activmask.evaluation.scores import check_finite

FEW = 20
"""Subjects below which intervals are told to be too narrow."""

NO_PROBABILITIES = "the scores rank images and mean no probability, so there is no calibration to measure"
NO_THRESHOLD = (
    "nothing says from which score on an image is positive: there are no validation images that could, "
    "and no threshold was given"
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One class against the rest."""

    positive: int
    """The class that is looked for; of two classes it is class 1."""
    name: str
    n: int
    positives: int
    auc: Score
    average_precision: Score
    """Chance is the share of positives."""
    roc: Curve
    precision_recall: Curve
    threshold: Threshold | None
    rates: Rates | None
    """At the threshold."""
    calibration: Calibration | None


@dataclass(frozen=True, kw_only=True)
class Clinic:
    """What a clinician asks, answered on one set of images."""

    classes: tuple[str, ...]
    n: int
    subjects: int
    auc: Score | None
    """Of two classes, else the mean of one against the rest; None where a class has no image."""
    accuracy: Score | None
    """None where nothing decides."""
    confusion: tuple[tuple[int, ...], ...] | None
    """(K, K) images by true class, then by decided class: by the threshold of two classes, by the
    highest output of more. None where nothing decides."""
    questions: tuple[Question, ...]
    """Class 1 of two classes, every class of more; those without an image, or without a rest, are not
    among them."""
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    """Sentences on what could not be answered, and what to mind."""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        return asdict(self)


def clinic(
    logits: Tensor,
    labels: Tensor,
    subjects: Sequence[str],
    *,
    class_names: Sequence[str],
    columns: Mapping[str, Sequence[str]] | None = None,
    valid: tuple[Tensor, Tensor] | None = None,
    wish: Wish | None = None,
    probabilities: bool = True,
    seed: int = 0,
) -> Clinic:
    """Answer what a clinician asks of a classifier.

    Args:
        logits: (N, K), finite.
        labels: int64 (N,) in [0, K).
        subjects: (N,), whom each image shows; intervals are bootstraps over them.
        class_names: of the K classes.
        columns: further facts of the images, (N,) texts by name; empty text where unknown.
        valid: logits (n, K) and labels (n,) of other images, on which thresholds are chosen.
        wish: how thresholds are found; None chooses by Youden's index.
        probabilities: whether a softmax of the logits means probabilities.
        seed: of the bootstrap, of random groups and of simulated labels.

    Raises:
        UsageError: the wish makes no sense.
        CheckpointError: a logit is NaN or infinite.
    """
    wish = wish or Wish()
    wish.check(probabilities=probabilities, validation=valid is not None)
    check_finite(logits)
    truth, whose = labels.numpy(), np.asarray(subjects, dtype=object)
    values, valid_values = _scores(logits), None if valid is None else (_scores(valid[0]), valid[1].numpy())
    counts = draws(truth, whose, seed)
    asked = [1] if logits.shape[1] == 2 else range(logits.shape[1])
    present = [k for k in asked if 0 < (truth == k).sum() < len(truth)]
    questions = tuple(
        _question(
            k,
            class_names[k],
            values[:, k],
            truth == k,
            counts,
            threshold=find_threshold(
                wish,
                None if valid_values is None else (valid_values[0][:, k], valid_values[1] == k),
                probabilities=probabilities,
            ),
            probabilities=probabilities,
            seed=seed,
        )
        for k in present
    )
    decided = _decided(logits, values, questions)
    judged = Judged(scores=values, decided=decided, labels=truth, subjects=whose)
    whole = len(np.unique(truth)) == logits.shape[1]
    return Clinic(
        classes=tuple(class_names),
        n=len(truth),
        subjects=len(set(whose.tolist())),
        auc=auc(values, truth, counts) if whole else None,
        accuracy=None if decided is None else accuracy(decided, truth, counts),
        confusion=None if decided is None else _confusion(truth, decided, logits.shape[1]),
        questions=questions,
        columns=by_column(judged, columns or {}, seed=seed),
        notes=tuple(_notes(class_names, truth, whose, questions, probabilities=probabilities)),
    )


def _scores(logits: Tensor) -> Floats:
    wide = logits.double().numpy()
    return np.stack([one_against_rest(wide, k) for k in range(wide.shape[1])], axis=1)


def _question(
    k: int,
    name: str,
    scores: Floats,
    positive: np.ndarray,
    counts: Counts | None,
    *,
    threshold: Threshold | None,
    probabilities: bool,
    seed: int,
) -> Question:
    return Question(
        positive=k,
        name=name,
        n=len(positive),
        positives=int(positive.sum()),
        auc=auc(np.stack([-scores, scores], axis=1), positive.astype(np.int64), counts),
        average_precision=average_precision(scores, positive, counts),
        roc=roc(scores, positive),
        precision_recall=precision_recall(scores, positive),
        threshold=threshold,
        rates=None if threshold is None else rates(scores >= threshold.score, positive, counts),
        calibration=calibration(expit(scores), positive, counts, seed=seed) if probabilities else None,
    )


def _decided(logits: Tensor, values: Floats, questions: Sequence[Question]) -> Classes | None:
    """The class (N,) each image is given, or None where there is no threshold to tell two apart."""
    if logits.shape[1] > 2:
        return np.asarray(logits.argmax(dim=1).numpy())
    threshold = questions[0].threshold if questions else None
    if threshold is None:
        return None
    return (values[:, 1] >= threshold.score).astype(np.int64)


def _confusion(truth: Classes, decided: Classes, classes: int) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, confusion_matrix(truth, decided, labels=range(classes)).tolist()))


def _notes(
    class_names: Sequence[str],
    truth: Classes,
    subjects: np.ndarray,
    questions: Sequence[Question],
    *,
    probabilities: bool,
) -> list[str]:
    notes = []
    missing = [name for k, name in enumerate(class_names) if not (truth == k).any()]
    if missing:
        notes.append(f"no image of class {', '.join(missing)}, so it is not scored")
    if not probabilities:
        notes.append(NO_PROBABILITIES)
    if any(one.threshold is None for one in questions):
        notes.append(NO_THRESHOLD)
    people = len(set(subjects.tolist()))
    if people < 2:
        notes.append("the images show one subject, so there are no intervals")
    elif people < FEW:
        notes.append(
            f"the intervals are of {people} subjects, which are few for a bootstrap: they are too narrow"
        )
    return notes
