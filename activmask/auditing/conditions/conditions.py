"""What a classifier scores when one side of the masks is destroyed, in several ways.

Shapes: N images, n of which take part, C channels, H x W pixels, K classes, R draws of the bootstrap.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.auditing.conditions.answers import Answers, of_logits
from activmask.auditing.conditions.mask_baseline import MaskBaseline, mask_baseline
from activmask.auditing.conditions.rows import ConditionRow
from activmask.auditing.conditions.verdict import verdict
from activmask.auditing.conditions.versions import (
    CONDITIONS,
    FULL,
    OUTLINE,
    batches,
    blank_outside,
    blur_px,
    versions,
)
from activmask.data.samples import Samples
from activmask.evaluation.bootstrap import subject_resamples
from activmask.evaluation.estimate import Drawn, Estimate
from activmask.evaluation.participants import MaskCount, Participants, participants, why_no_audit
from activmask.evaluation.resampled import Counts, counted, resampled_mean
from activmask.evaluation.scores import AucKind, chance_over_subjects, macro_auc
from activmask.evaluation.sides import Verdict
from activmask.ground.progress import ItemsDone
from activmask.training.replicas.resampled_auc import resampled_auc

DRAWS = 3
"""Of each condition that is random."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a classifier scores under all conditions."""

    n: int
    """Images that took part: those whose mask covers some, but not all, of the image."""
    subjects: int
    """Whom they show."""
    borrowed: int
    """Those among the images that had no mask and borrowed another's, as having one tells the class."""
    mask_counts: tuple[MaskCount, ...]
    """By class, before anything was borrowed."""
    reason: str | None
    """Why there are no scores, or None."""
    auc_kind: AucKind
    """Which AUC all are."""
    draws: int
    """Of each condition that is random."""
    seed: int
    """Of shuffles, borrowing and the bootstrap."""
    blur_px: float
    """Sigma of the blur."""
    rows: tuple[ConditionRow, ...] = ()
    """One per condition, as `CONDITIONS` lists them; empty when not available."""
    baseline: MaskBaseline | None = None
    """What the masks' areas and places tell by themselves."""
    beyond_outline: Estimate | None = None
    """The AUC of `outside only` minus that of `outline only`: what the outside tells beside the outline of
    what is blank in it, of the same draws of subjects."""
    further: Estimate | None = None
    """How much further from 0.5 the AUC of `inside only` lies than that of `outside only`, of the same draws
    of subjects."""
    chance_distance: float | None = None
    """An AUC no further than this from 0.5 counts as chance (95 %)."""
    verdict: Verdict | None = None
    """The rows in words."""

    def row(self, condition: str) -> ConditionRow:
        """The row of a condition (raises KeyError without it)."""
        return {row.condition: row for row in self.rows}[condition]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        return dataclasses.asdict(self)


def conditions(
    predict: Callable[[Tensor], Tensor],
    samples: Samples,
    *,
    classes: int,
    draws: int = DRAWS,
    seed: int = 0,
    probabilities: bool = True,
    full: Tensor | None = None,
    done: ItemsDone | None = None,
) -> tuple[Conditions, dict[str, Tensor]]:
    """Score a classifier on its images as they are and with each side of the masks destroyed.

    Args:
        predict: from images (b, C, H, W) to finite logits (b, K) on the CPU, with memory bounded within.
        samples: N images with masks, labels and subjects.
        classes: K, at least two, that exclude each other.
        draws: of each condition that is random.
        seed: of shuffles, borrowing and the bootstrap.
        probabilities: whether the highest logit is a decision.
        full: logits (N, K) of the full images, where they are known.
        done: told of images predicted, of how many.

    Returns:
        The scores, and the logits of each condition, (draws, n, K) by name in the order of those who take
        part (`taking_part`); none where there are no scores.

    Raises:
        CheckpointError: a logit is not finite.
    """
    part = taking_part(samples, seed)
    logits: dict[str, Tensor] = {}
    if why_no_audit(samples, part, classes) is None:
        logits = predicted(predict, samples, part, draws=draws, seed=seed, full=full, done=done)
    scores = scored(
        logits, samples, part, classes=classes, draws=draws, seed=seed, probabilities=probabilities
    )
    return scores, logits


def scored(
    logits: Mapping[str, Tensor],
    samples: Samples,
    part: Participants,
    *,
    classes: int,
    draws: int,
    seed: int,
    probabilities: bool = True,
) -> Conditions:
    """The scores of logits (draws, n, K) of every condition by its name; arguments as of `conditions`."""
    those = those_of(samples, part, draws=draws, seed=seed)
    if reason := why_no_audit(samples, part, classes):
        return _unscored(those, classes, reason)
    answers = {
        name: [of_logits(one, probabilities=probabilities) for one in drawn] for name, drawn in logits.items()
    }
    return judged(answers, those, classes=classes)


def taking_part(samples: Samples, seed: int) -> Participants:
    """Those whose images are judged, with the masks that they borrow for this seed."""
    return participants(samples, torch.Generator().manual_seed(seed))


def predicted(
    predict: Callable[[Tensor], Tensor],
    samples: Samples,
    part: Participants,
    *,
    draws: int,
    seed: int,
    full: Tensor | None = None,
    done: ItemsDone | None = None,
) -> dict[str, Tensor]:
    """Logits (draws, n, K) of every condition by its name; arguments as of `conditions`."""
    found: dict[str, list[Tensor]] = {}
    everything = list(versions(samples, part, draws=draws, seed=seed))
    count, total = 0, len(everything) * len(part)
    for version in everything:
        if version.condition.name == FULL and full is not None:
            logits = full[part.rows]
        else:
            logits = torch.cat([predict(version.images(few)) for few in batches(part, samples)])
        found.setdefault(version.condition.name, []).append(logits)
        count += len(part)
        if done is not None:
            done(count, total)
    return {name: torch.stack(drawn) for name, drawn in found.items()}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Those who take part, as scores need them."""

    labels: NDArray[np.int64]
    """(n,), the class of each."""
    subjects: NDArray[np.object_]
    """(n,), whom each shows."""
    masks: Tensor
    """bool (n, 1, H, W), by which each is judged."""
    borrowed: int
    """How many borrowed theirs."""
    mask_counts: tuple[MaskCount, ...]
    """By class, before anything was borrowed."""
    blank_background: bool
    """Whether all pixels outside the masks have one value."""
    draws: int
    """Of each condition that is random."""
    seed: int
    """Of shuffles, borrowing and the bootstrap."""
    blur_px: float
    """Sigma of the blur."""


def those_of(samples: Samples, part: Participants, *, draws: int, seed: int) -> Judged:
    """Those among N images who take part."""
    return Judged(
        labels=samples.labels[part.rows].numpy(),
        subjects=np.asarray(samples.subjects, dtype=object)[part.rows.numpy()],
        masks=samples.masks[part.masks],
        borrowed=part.borrowed,
        mask_counts=part.counts,
        blank_background=blank_outside(samples, part),
        draws=draws,
        seed=seed,
        blur_px=blur_px(samples),
    )


def judged(answers: Mapping[str, Sequence[Answers]], those: Judged, *, classes: int) -> Conditions:
    """The scores of answers that are known.

    Args:
        answers: of every condition by its name, a draw each, of those who take part; every class occurs.
        those: who take part.
        classes: K.
    """
    truth = those.labels
    resamples = subject_resamples(truth, those.subjects, seed=those.seed)
    counts = None if resamples is None else counted(resamples, len(truth))
    scores = {name: _scored(answers[name], truth, counts) for name in (one.name for one in CONDITIONS)}
    rows = tuple(_row(name, scores[name], scores[FULL]) for name in scores)
    beyond_outline = scores["outside only"].auc.change(scores[OUTLINE].auc)
    further = scores["inside only"].auc.further(scores["outside only"].auc)
    baseline = mask_baseline(those.masks, truth, those.subjects, counts, classes=classes, seed=those.seed)
    chance, subjects = chance_over_subjects(truth, those.subjects, classes), len(set(those.subjects))
    return dataclasses.replace(
        _unscored(those, classes, None),
        rows=rows,
        baseline=baseline,
        beyond_outline=beyond_outline,
        further=further,
        chance_distance=chance,
        verdict=verdict(
            rows,
            baseline,
            beyond_outline,
            further,
            subjects=subjects,
            chance_distance=chance,
            blank_background=those.blank_background,
        ),
    )


def _unscored(those: Judged, classes: int, reason: str | None) -> Conditions:
    return Conditions(
        n=len(those.labels),
        subjects=len(set(those.subjects)),
        borrowed=those.borrowed,
        mask_counts=those.mask_counts,
        reason=reason,
        auc_kind="ROC AUC" if classes == 2 else "macro one-vs-rest ROC AUC",
        draws=those.draws,
        seed=those.seed,
        blur_px=those.blur_px,
    )


@dataclass(frozen=True)
class _Scores:
    draws: int
    auc: Drawn
    spread: float | None
    accuracy: Drawn | None


def _scored(drawn: Sequence[Answers], truth: NDArray[np.int64], counts: Counts | None) -> _Scores:
    """The scores of one condition, averaged over its draws before anything is compared."""
    areas = [macro_auc(one.values, truth) for one in drawn]
    right = [(one.first == truth).astype(np.float64) for one in drawn if one.first is not None]
    return _Scores(
        draws=len(drawn),
        auc=Drawn(
            float(np.mean(areas)),
            None
            if counts is None
            else np.mean([resampled_auc(one.values, truth, counts) for one in drawn], axis=0),
        ),
        spread=float(np.std(areas, ddof=1)) if len(areas) > 1 else None,
        accuracy=Drawn(
            float(np.mean(right)),
            None if counts is None else resampled_mean(np.mean(right, axis=0), counts),
        )
        if right
        else None,
    )


def _row(name: str, scores: _Scores, full: _Scores) -> ConditionRow:
    accuracy, known = scores.accuracy, full.accuracy
    return ConditionRow(
        condition=name,
        draws=scores.draws,
        auc=scores.auc.estimate(),
        auc_spread=scores.spread,
        auc_change=None if name == FULL else scores.auc.change(full.auc),
        accuracy=None if accuracy is None else accuracy.estimate(),
        accuracy_change=None if name == FULL or accuracy is None or known is None else accuracy.change(known),
    )
