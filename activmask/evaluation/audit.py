"""The shortcut audit: the same score with the background, then the region of interest, destroyed.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from activmask.data.samples import Samples
from activmask.evaluation.estimate import Drawn, Estimate, counts_over_subjects
from activmask.evaluation.participants import MaskCount, Participants, participants, why_no_audit
from activmask.evaluation.predictions_table import Predicted
from activmask.evaluation.resampled import Counts
from activmask.evaluation.scores import (
    accuracy,
    auc_over_subjects,
    chance_over_subjects,
    check_finite,
    drawn_auc,
)
from activmask.evaluation.sides import Verdict
from activmask.evaluation.verdict import Shuffled, verdict
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.training.replicas.predictions import auc, predict

FULL, NO_BACKGROUND, NO_ROI = "full", "background shuffled", "ROI shuffled"
"""What the versions of the images are called."""

MASK_AREA = "mask's area alone"
"""What the area's AUC is called beside those of the images."""


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """The score on one version of the images."""

    images: str
    """Which version: `full`, `background shuffled` or `ROI shuffled`."""
    auc: float
    """In [0, 1]."""
    accuracy: float
    """In [0, 1]."""
    low: float | None = None
    """Lower end of the AUC's 95 % interval, percentiles of a bootstrap over subjects; None without one."""
    high: float | None = None
    """Its upper end."""
    change: Estimate | None = None
    """AUC minus that of the full images, of the same draws of subjects; None of the full images."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a model scores on full and on partly destroyed images."""

    n: int
    """Images that took part: those whose mask covers some, but not all, of the image."""
    borrowed: int
    """Those among them that had no mask and borrowed another image's, as having one tells the class."""
    reason: str | None
    """Why the audit is not available, or None."""
    rows: tuple[AuditRow, ...]
    """One per version of the images; empty when not available."""
    mask_area_auc: float | None
    """AUC of the mask's area as a score: how much the size of the ROI alone tells."""
    chance_distance: float | None
    """An AUC no further than this from 0.5 counts as chance (95 %), whether images or subjects are ranked."""
    verdict: Verdict | None
    """The rows in words."""
    mask_counts: tuple[MaskCount, ...] = ()
    """By class, before anything was borrowed."""
    subjects: int = 0
    """Whom the images that took part show."""
    mask_area_low: float | None = None
    """Lower end of the interval of the area's AUC, likewise."""
    mask_area_high: float | None = None
    """Its upper end."""
    further: Estimate | None = None
    """How much further from 0.5 the AUC lies with the background shuffled than with the region of interest
    shuffled, of the same draws of subjects."""


def audited(audit: Audit) -> dict[str, float]:
    """The AUC of each version of the images, then that of the mask's area; empty without an audit."""
    area = {} if audit.mask_area_auc is None else {MASK_AREA: audit.mask_area_auc}
    return {row.images: row.auc for row in audit.rows} | area


def audit(model: nn.Module, samples: Samples, logits: Tensor, *, seed: int) -> Audit:
    """Score the images that take part as they are and with each side of the mask shuffled.

    Args:
        model: in evaluation mode.
        samples: N images with their masks, dilated as in training.
        logits: (N, K) of the full images.
        seed: of the shuffles, of who borrows from whom, and of the bootstrap.

    Raises:
        CheckpointError: the model's scores of shuffled images are not finite.
    """
    return audit_and_predictions(model, samples, logits, seed=seed)[0]


def audit_and_predictions(
    model: nn.Module, samples: Samples, logits: Tensor, *, seed: int
) -> tuple[Audit, tuple[Predicted, ...]]:
    """`audit`, and what it predicted of the shuffled images; none where there is no audit."""
    generator = torch.Generator().manual_seed(seed)
    part = participants(samples, generator)
    reason = why_no_audit(samples, part, logits.shape[1])
    if reason:
        return _unavailable(part, reason), ()
    images, roi = samples.images[part.rows], samples.masks[part.masks]
    versions = {
        FULL: logits[part.rows],
        NO_BACKGROUND: predict(model, masked_shuffle(images, roi, generator)),
        NO_ROI: predict(model, masked_shuffle(images, ~roi, generator)),
    }
    outside = images[~roi.expand_as(images)]
    found = _scored(versions, samples, part, seed=seed, blank_background=bool((outside == outside[0]).all()))
    return found, tuple(
        Predicted(condition=name, draw=1, rows=part.rows, logits=versions[name])
        for name in (NO_BACKGROUND, NO_ROI)
    )


def _scored(
    versions: Mapping[str, Tensor], samples: Samples, part: Participants, *, seed: int, blank_background: bool
) -> Audit:
    labels, classes = samples.labels[part.rows], versions[FULL].shape[1]
    subjects = [samples.subjects[row] for row in part.rows.tolist()]
    people, chance = len(set(subjects)), chance_over_subjects(labels.numpy(), subjects, classes)
    counts = counts_over_subjects(labels.numpy(), subjects, seed=seed)
    drawn = {name: _drawn(logits, labels, counts) for name, logits in versions.items()}
    changes = {name: drawn[name].change(drawn[FULL]) for name in (NO_BACKGROUND, NO_ROI)}
    area = _area_auc(samples.masks[part.masks], labels, classes, counts).estimate()
    scores = Shuffled(
        full=drawn[FULL].estimate(),
        without_background=drawn[NO_BACKGROUND].estimate(),
        without_roi=drawn[NO_ROI].estimate(),
        background_change=changes[NO_BACKGROUND],
        roi_change=changes[NO_ROI],
        further=drawn[NO_BACKGROUND].further(drawn[NO_ROI]),
        mask_area=area,
    )
    return Audit(
        n=len(part),
        borrowed=part.borrowed,
        mask_counts=part.counts,
        subjects=people,
        reason=None,
        rows=tuple(
            _row(name, logits, labels, drawn[name].estimate(), changes.get(name))
            for name, logits in versions.items()
        ),
        mask_area_auc=area.value,
        mask_area_low=area.low,
        mask_area_high=area.high,
        further=scores.further,
        chance_distance=chance,
        verdict=verdict(scores, subjects=people, chance_distance=chance, blank_background=blank_background),
    )


def _unavailable(part: Participants, reason: str) -> Audit:
    return Audit(
        n=len(part),
        borrowed=0,
        mask_counts=part.counts,
        reason=reason,
        rows=(),
        mask_area_auc=None,
        chance_distance=None,
        verdict=None,
    )


def _drawn(logits: Tensor, labels: Tensor, counts: Counts | None) -> Drawn:
    check_finite(logits)
    return auc_over_subjects(auc(logits, labels), logits, labels, counts)


def _row(name: str, logits: Tensor, labels: Tensor, one: Estimate, change: Estimate | None) -> AuditRow:
    right = accuracy(logits, labels)
    return AuditRow(images=name, auc=one.value, low=one.low, high=one.high, accuracy=right, change=change)


def _area_auc(masks: Tensor, labels: Tensor, classes: int, counts: Counts | None) -> Drawn:
    """AUC of the area; with more than two classes, of the class it separates best from the rest."""
    area = masks.flatten(1).sum(dim=1).double().numpy()
    tested = [1] if classes == 2 else range(classes)
    areas = [drawn_auc(np.stack([-area, area], axis=1), (labels == k).long().numpy(), counts) for k in tested]
    return max(areas, key=lambda one: abs(one.value - 0.5))
