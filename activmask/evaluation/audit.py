"""The shortcut audit: the same score with the background, then the region of interest, destroyed.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from activmask.data.samples import Samples
from activmask.evaluation.scores import accuracy, auc, chance_distance, check_finite, why_no_auc
from activmask.evaluation.verdict import Verdict, verdict
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.training.scoring import predict
from activmask.training.sources import SCALE_UNKNOWN, scale_unknown


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
    """Those among them that had no mask and borrowed another image's, as their whole class has none."""
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


def partial_masks(masks: Tensor) -> Tensor:
    """Which masks have an inside and an outside, bool (N,), of bool (N, 1, H, W)."""
    inside = masks.flatten(1)
    return inside.any(dim=1) & ~inside.all(dim=1)


def audit(model: nn.Module, samples: Samples, logits: Tensor, generator: torch.Generator) -> Audit:
    """Score the images that have a mask as they are and with each side of the mask shuffled.

    Where every image with a mask is of one class, as with organs and the slices without them, the
    images of the other classes borrow the masks of random images that have one: then both classes
    are shuffled alike, and the mask itself tells nothing.

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
    chosen = torch.nonzero(owners | borrowers).flatten()
    labels, classes = samples.labels[chosen], logits.shape[1]
    reason = _why_not(labels, classes)
    if reason and scale_unknown(samples):
        reason = SCALE_UNKNOWN
    if reason:
        return Audit(
            n=len(chosen),
            borrowed=0,
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
    return Audit(
        n=len(chosen),
        borrowed=int(borrowers.sum()),
        reason=None,
        rows=rows,
        mask_area_auc=area,
        chance_distance=chance,
        verdict=verdict(*(row.auc for row in rows), mask_area=area, chance_distance=chance),
    )


def _borrowers(samples: Samples, owners: Tensor) -> Tensor:
    """Images (N,) without a mask of the classes that have none, if one class has all the masks."""
    owning = samples.labels[owners].unique()
    if len(owning) != 1:
        return torch.zeros_like(owners)
    return ~samples.has_mask & samples.labels.ne(owning)


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
