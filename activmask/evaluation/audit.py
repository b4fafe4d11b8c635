"""The shortcut audit: the same score with the background, then the region of interest, destroyed.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from activmask.data.samples import Samples
from activmask.evaluation.participants import MaskCount, Participants, participants, why_no_audit
from activmask.evaluation.predictions_table import Predicted
from activmask.evaluation.scores import accuracy, auc, chance_over_subjects, check_finite
from activmask.evaluation.sides import Verdict
from activmask.evaluation.verdict import verdict
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.training.replicas.predictions import predict

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
    """An AUC no further than this from 0.5 counts as chance (95 %); where each subject is of one class, of
    subjects in place of images."""
    verdict: Verdict | None
    """The rows in words."""
    mask_counts: tuple[MaskCount, ...] = ()
    """By class, before anything was borrowed."""


def audited(audit: Audit) -> dict[str, float]:
    """The AUC of each version of the images, then that of the mask's area; empty without an audit."""
    area = {} if audit.mask_area_auc is None else {MASK_AREA: audit.mask_area_auc}
    return {row.images: row.auc for row in audit.rows} | area


def audit(model: nn.Module, samples: Samples, logits: Tensor, generator: torch.Generator) -> Audit:
    """Score the images that take part as they are and with each side of the mask shuffled.

    Args:
        model: in evaluation mode.
        samples: N images with their masks, dilated as in training.
        logits: (N, K) of the full images.
        generator: on the CPU; draws the shuffles and who borrows from whom.

    Raises:
        CheckpointError: the model's scores of shuffled images are not finite.
    """
    return audit_and_predictions(model, samples, logits, generator)[0]


def audit_and_predictions(
    model: nn.Module, samples: Samples, logits: Tensor, generator: torch.Generator
) -> tuple[Audit, tuple[Predicted, ...]]:
    """`audit`, and what it predicted of the shuffled images; none where there is no audit."""
    part = participants(samples, generator)
    labels, classes = samples.labels[part.rows], logits.shape[1]
    reason = why_no_audit(samples, part, classes)
    if reason:
        return _unavailable(part, reason), ()
    images, roi = samples.images[part.rows], samples.masks[part.masks]
    shuffled = {
        "background shuffled": predict(model, masked_shuffle(images, roi, generator)),
        "ROI shuffled": predict(model, masked_shuffle(images, ~roi, generator)),
    }
    rows = tuple(_row(name, one, labels) for name, one in {"full": logits[part.rows], **shuffled}.items())
    area = _area_auc(roi, labels, classes)
    subjects = [samples.subjects[row] for row in part.rows.tolist()]
    chance = chance_over_subjects(labels.numpy(), subjects, classes)
    outside = images[~roi.expand_as(images)]
    found = Audit(
        n=len(part),
        borrowed=part.borrowed,
        mask_counts=part.counts,
        reason=None,
        rows=rows,
        mask_area_auc=area,
        chance_distance=chance,
        verdict=verdict(
            *(row.auc for row in rows),
            mask_area=area,
            chance_distance=chance,
            blank_background=bool((outside == outside[0]).all()),
        ),
    )
    return found, tuple(
        Predicted(condition=name, draw=1, rows=part.rows, logits=one) for name, one in shuffled.items()
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


def _row(name: str, logits: Tensor, labels: Tensor) -> AuditRow:
    check_finite(logits)
    return AuditRow(images=name, auc=auc(logits, labels), accuracy=accuracy(logits, labels))


def _area_auc(masks: Tensor, labels: Tensor, classes: int) -> float:
    """AUC of the area; with more than two classes, of the class it separates best from the rest."""
    area = masks.flatten(1).sum(dim=1).numpy()
    tested = [1] if classes == 2 else range(classes)
    areas = [float(roc_auc_score((labels == k).numpy(), area)) for k in tested]
    return max(areas, key=lambda value: abs(value - 0.5))
