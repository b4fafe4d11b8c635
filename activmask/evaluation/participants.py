"""Which images an audit by masks is of, and by whose mask each is judged.

Shapes: N images of H x W pixels, n of which take part.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from activmask.data.samples import Samples
from activmask.data.view import SCALE_UNKNOWN, scale_unknown
from activmask.evaluation.scores import chance_distance, why_no_auc


@dataclass(frozen=True)
class MaskCount:
    """How many images of one class have a mask that marks something."""

    label: int
    images: int
    masked: int


@dataclass(frozen=True, kw_only=True)
class Participants:
    """The images that take part."""

    rows: Tensor
    """int64 (n,), their places among all."""
    masks: Tensor
    """int64 (n,), the place of the mask that each is judged by: its own, or a borrowed one."""
    borrowed: int
    """How many of them borrow."""
    counts: tuple[MaskCount, ...]
    """By class, before anything was borrowed."""

    def __len__(self) -> int:
        """The number of images n that take part."""
        return len(self.rows)


def participants(samples: Samples, generator: torch.Generator) -> Participants:
    """The images whose mask covers a part of them, and those that must borrow such a mask.

    Where having a mask tells the class, as with organs and the slices without them, the images
    without one borrow the masks of random images that have one: then all classes are changed
    alike, and that a mask is there tells nothing. It tells the class where a class has no mask at
    all, or where "has a mask" as a score of some class has an AUC that is told from chance (95 %).
    Where it tells nothing, images without a mask take no part.

    Args:
        samples: N images with their masks.
        generator: on the CPU; draws who borrows from whom.
    """
    owners = samples.has_mask & partial_masks(samples.masks)
    borrowers = _borrowers(samples, owners)
    masks = torch.arange(len(samples))
    if borrowers.any():
        lenders = torch.nonzero(owners).flatten()
        masks[borrowers] = lenders[torch.randint(len(lenders), (int(borrowers.sum()),), generator=generator)]
    rows = torch.nonzero(owners | borrowers).flatten()
    return Participants(
        rows=rows, masks=masks[rows], borrowed=int(borrowers.sum()), counts=_mask_counts(samples)
    )


def partial_masks(masks: Tensor) -> Tensor:
    """Which masks have an inside and an outside, bool (N,), of bool (N, 1, H, W)."""
    inside = masks.flatten(1)
    return inside.any(dim=1) & ~inside.all(dim=1)


def why_no_audit(samples: Samples, part: Participants, classes: int) -> str | None:
    """The reason that those who take part have no AUC, or None when they have."""
    missing = why_no_auc(samples.labels[part.rows], classes) if len(part) else "no image"
    if missing is None:
        return None
    return SCALE_UNKNOWN if scale_unknown(samples) else f"{missing} has a mask that covers a part of it"


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
