"""The shortcut audit: the same score with the background, then the region of interest, destroyed.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from activmask.data.samples import Samples
from activmask.data.view import SCALE_UNKNOWN, scale_unknown
from activmask.evaluation.scores import accuracy, auc, chance_distance, check_finite, why_no_auc
from activmask.evaluation.verdict import Verdict, verdict
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


@dataclass(frozen=True)
class MaskCount:
    """How many images of one class have a mask that marks something."""

    label: int
    images: int
    masked: int


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
    """An AUC no further than this from 0.5 counts as chance (95 %)."""
    verdict: Verdict | None
    """The rows in words."""
    mask_counts: tuple[MaskCount, ...] = ()
    """By class, before anything was borrowed."""


def audited(audit: Audit) -> dict[str, float]:
    """The AUC of each version of the images, then that of the mask's area; empty without an audit."""
    area = {} if audit.mask_area_auc is None else {MASK_AREA: audit.mask_area_auc}
    return {row.images: row.auc for row in audit.rows} | area


def partial_masks(masks: Tensor) -> Tensor:
    """Which masks have an inside and an outside, bool (N,), of bool (N, 1, H, W)."""
    inside = masks.flatten(1)
    return inside.any(dim=1) & ~inside.all(dim=1)


def audit(model: nn.Module, samples: Samples, logits: Tensor, generator: torch.Generator) -> Audit:
    """Score the images that have a mask as they are and with each side of the mask shuffled.

    Where having a mask tells the class, as with organs and the slices without them, the images
    without one borrow the masks of random images that have one: then all classes are shuffled
    alike, and that a mask is there tells nothing. It tells the class where a class has no mask at
    all, or where "has a mask" as a score of some class has an AUC that is told from chance (95 %).
    Where it tells nothing, images without a mask take no part.

    Args:
        model: in evaluation mode.
        samples: N images with their masks, dilated as in training.
        logits: (N, K) of the full images.
        generator: on the CPU; draws the shuffles and who borrows from whom.

    Raises:
        CheckpointError: the model's scores of shuffled images are not finite.
    """
    owners = samples.has_mask & partial_masks(samples.masks)
    borrowers = _borrowers(samples, owners)
    counts = _mask_counts(samples)
    chosen = torch.nonzero(owners | borrowers).flatten()
    labels, classes = samples.labels[chosen], logits.shape[1]
    reason = _why_not(labels, classes)
    if reason and scale_unknown(samples):
        reason = SCALE_UNKNOWN
    if reason:
        return Audit(
            n=len(chosen),
            borrowed=0,
            mask_counts=counts,
            reason=reason,
            rows=(),
            mask_area_auc=None,
            chance_distance=None,
            verdict=None,
        )
    images, roi = samples.images[chosen], _lend(samples.masks, owners, borrowers, generator)[chosen]
    versions = {
        "full": logits[chosen],
        "background shuffled": predict(model, masked_shuffle(images, roi, generator)),
        "ROI shuffled": predict(model, masked_shuffle(images, ~roi, generator)),
    }
    rows = tuple(_row(name, scores, labels) for name, scores in versions.items())
    area, chance = _area_auc(roi, labels, classes), chance_distance(labels, classes)
    outside = images[~roi.expand_as(images)]
    return Audit(
        n=len(chosen),
        borrowed=int(borrowers.sum()),
        mask_counts=counts,
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


def _marked(samples: Samples) -> Tensor:
    """Which images (N,) have a mask with an inside."""
    return samples.has_mask & samples.masks.flatten(1).any(dim=1)


def _mask_counts(samples: Samples) -> tuple[MaskCount, ...]:
    marked = _marked(samples)
    return tuple(
        MaskCount(k, int((samples.labels == k).sum()), int((marked & (samples.labels == k)).sum()))
        for k in samples.labels.unique().tolist()
    )


def _borrowers(samples: Samples, owners: Tensor) -> Tensor:
    """Images (N,) without a mask, if having one tells the class and there is any to borrow."""
    marked, labels = _marked(samples), samples.labels
    if owners.any() and any(_tells(marked, labels == k) for k in labels.unique()):
        return ~marked
    return torch.zeros_like(owners)


def _tells(marked: Tensor, of_class: Tensor) -> bool:
    """Whether having a mask, bool (N,), tells the images of one class from the others."""
    if of_class.all():
        return False
    shares = [float(marked[chosen].double().mean()) for chosen in (of_class, ~of_class)]
    # The AUC of a score of two values, 0 and 1.
    area = 0.5 + (shares[0] - shares[1]) / 2
    none_in_one = shares[0] == 0 < shares[1]
    return none_in_one or abs(area - 0.5) > chance_distance(of_class.long(), 2)


def _lend(masks: Tensor, owners: Tensor, borrowers: Tensor, generator: torch.Generator) -> Tensor:
    """Masks (N, 1, H, W) of which each borrower's is that of a random owner."""
    lenders = torch.nonzero(owners).flatten()
    drawn = torch.randint(len(lenders), (int(borrowers.sum()),), generator=generator)
    lent = masks.clone()
    lent[borrowers] = masks[lenders[drawn]]
    return lent


def _why_not(labels: Tensor, classes: int) -> str | None:
    if len(labels) == 0:
        return "no image has a mask that covers a part of it"
    missing = why_no_auc(labels, classes)
    return None if missing is None else f"{missing} has a mask that covers a part of it"


def _row(name: str, logits: Tensor, labels: Tensor) -> AuditRow:
    check_finite(logits)
    return AuditRow(images=name, auc=auc(logits, labels), accuracy=accuracy(logits, labels))


def _area_auc(masks: Tensor, labels: Tensor, classes: int) -> float:
    """AUC of the area; with more than two classes, of the class it separates best from the rest."""
    area = masks.flatten(1).sum(dim=1).numpy()
    tested = [1] if classes == 2 else range(classes)
    areas = [float(roc_auc_score((labels == k).numpy(), area)) for k in tested]
    return max(areas, key=lambda value: abs(value - 0.5))
