"""Regions of interest: dilation, circles, keeping only some of them, and lending them."""

import numpy as np
import torch
from torch import Tensor

from activmask.data.dilation import dilation_radius, stored_radii
from activmask.data.mask_shares import Presence
from activmask.data.multi_label import is_multi_label

_PIXELS_AT_ONCE = 2**22
"""Of the masks being dilated, each of which takes 4 bytes per pixel meanwhile: 17 MB."""

_Z = 1.96
"""Standard deviations around the mean that hold 95 % of a normal distribution."""


def dilate(masks: Tensor, sigma: float, native: Tensor | None = None) -> Tensor:
    """Grow masks by a Gaussian blur followed by "anything above 0 is inside" (paper sec. 4).

    The blurred mask is above 0 exactly where the kernel's square support meets the mask, so a
    maximum over that square gives the same mask. Where masks were resized after they were drawn,
    the square is resized likewise, to whole px. Beyond its result it needs memory for a few masks
    at a time only.

    Args:
        masks: bool (N, 1, H, W), True inside the region of interest.
        sigma: of the blur in native px; 0 leaves the masks alone.
        native: int64 (N, 2) on the CPU, height and width in px of the grid that each mask was drawn
            on; None where that is the stored one.

    Returns:
        bool (N, 1, H, W).
    """
    if dilation_radius(sigma) == 0 or not len(masks):
        return masks
    height, width = masks.shape[-2:]
    sides = torch.tensor([[height, width]]).expand(len(masks), 2) if native is None else native
    radii = torch.from_numpy(stored_radii(sigma, (height, width), sides.numpy()))
    grown = torch.empty(masks.shape, dtype=torch.bool, device=masks.device)
    together = max(1, _PIXELS_AT_ONCE // max(1, masks[:1].numel()))
    for rows, columns in radii.unique(dim=0).tolist():
        alike = torch.nonzero((radii == torch.tensor([rows, columns])).all(dim=1)).flatten()
        for few in alike.to(masks.device).split(together):
            grown[few] = _dilated(masks[few], (rows, columns))
    return grown


def _dilated(masks: Tensor, radii: tuple[int, int]) -> Tensor:
    rows, columns = radii
    return _widened(_widened(masks, -2, rows), -1, columns)


def _widened(masks: Tensor, axis: int, radius: int) -> Tensor:
    """Masks with all that lies within `radius` px of them along an axis."""
    side, reach = masks.shape[axis], 0
    while reach < min(radius, side - 1):
        # No step skips a px: each distance up to the reach is a sum of steps that stay within the image.
        step = min(radius - reach, reach + 1, side - 1)
        further = masks.clone()
        for ahead, behind in ((0, step), (step, 0)):
            further.narrow(axis, ahead, side - step).logical_or_(masks.narrow(axis, behind, side - step))
        masks, reach = further, reach + step
    return masks


def circle(size: int) -> Tensor:
    """A centred disc of radius size / 2.5, bool (1, size, size) (paper sec. 6)."""
    axis = torch.arange(size) - (size - 1) / 2
    return ((axis[:, None] ** 2 + axis[None, :] ** 2) <= (size / 2.5) ** 2)[None]


def keep_share(labels: Tensor, has_mask: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Which images keep their mask when only a share of the masks is available (paper App. A).

    Args:
        labels: int64 (N,).
        has_mask: bool (N,), the images that have one at all.
        share: of the masks of each class to keep, in [0, 1]; rounded to whole images.
        rng: draws which ones.

    Returns:
        bool (N,), a subset of `has_mask`.
    """
    kept = torch.zeros_like(has_mask)
    for label in labels.unique():
        candidates = torch.nonzero((labels == label) & has_mask).flatten().numpy()
        chosen = rng.permutation(candidates)[: round(share * len(candidates))]
        kept[torch.from_numpy(chosen)] = True
    return kept


def lenders(borrowers: Tensor, owners: Tensor, rng: np.random.Generator) -> Tensor:
    """Whose mask each image shows where those without one borrow it.

    Args:
        borrowers: bool (N,), the images to be given a mask.
        owners: bool (N,), the images whose masks may be given.
        rng: draws an owner for each borrower.

    Returns:
        int64 (N,), an image's own number unless it borrows; nobody does without an owner.
    """
    shown = torch.arange(len(borrowers))
    pool = torch.nonzero(owners).flatten()
    if len(pool):
        drawn = rng.integers(len(pool), size=int(borrowers.sum()))
        shown[borrowers] = pool[torch.from_numpy(drawn)]
    return shown


def presence(labels: Tensor, has_mask: Tensor) -> Presence:
    """How well the mere presence of a mask tells the class.

    Args:
        labels: int64 (N,), or (N, L) of labels that do not exclude each other.
        has_mask: bool (N,).

    Returns:
        The AUC of `has_mask` as the score of class 1, which is (1 + p1 - p0) / 2 with p the share of
        a class's images that have a mask; with more than two classes, of the class that it separates
        best from the rest, and of several labels, of the one that it tells best where that is known.
        The chance distance is the normal approximation for two shares of one
        underlying share.
    """
    if is_multi_label(labels):
        of_each = [presence(own[own >= 0], has_mask[own >= 0]) for own in labels.T]
        return max(of_each, key=lambda one: abs(one.auc - 0.5) - one.chance_distance)
    present = has_mask.double()
    overall = float(present.mean())
    found: list[Presence] = []
    classes = labels.unique().tolist()
    for label in classes[1:] if len(classes) == 2 else classes:
        own = labels == label
        area = 0.5 + 0.5 * float(present[own].mean() - present[~own].mean())
        variance = overall * (1 - overall) * (1 / int(own.sum()) + 1 / int((~own).sum()))
        found.append(Presence(auc=area, chance_distance=0.5 * _Z * variance**0.5))
    return max(found, key=lambda one: abs(one.auc - 0.5))
