"""Which masks training looks at: only a share of them may be kept, and images without one may borrow one.

Shapes: N images.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from activmask.data.masks import keep_share, lenders
from activmask.data.samples import Samples
from activmask.data.settings import View, takes_crops
from activmask.data.splits import SPLITS
from activmask.data.view import at_network_size, with_dilated_masks
from activmask.ground.errors import DataError
from activmask.objectives.chosen import Chosen, shown_always
from activmask.runs.seeds import derived_seed


def to_train_on(samples: Samples, view: View, seed: int, data: str) -> Samples:
    """Training samples, masks dilated and only the run's share of them kept.

    They stay at their stored resolution where random crops are to be taken of them in training, and
    are seen as in evaluation where none are.

    Args:
        samples: as stored.
        view: what the network sees of them.
        seed: draws the masks.
        data: the data set's name, for errors.

    Raises:
        DataError: masks are to be borrowed, but every image has one.
    """
    kept, shown = training_masks(samples.labels, samples.has_mask, view, seed, data)
    return with_kept_masks(_with_masks_of(samples, shown), view, kept)


def with_kept_masks(samples: Samples, view: View, kept: Tensor) -> Samples:
    """`to_train_on` for any part of the training samples, given which of them keep their mask, bool (N,)."""
    dilated = with_dilated_masks(samples, view)
    some = replace(dilated, masks=dilated.masks | ~kept[:, None, None, None], has_mask=kept)
    return some if takes_crops(view) else at_network_size(some, view)


def training_masks(
    labels: Tensor, has_mask: Tensor, view: View, seed: int, data: str
) -> tuple[Tensor, Tensor]:
    """Which masks training looks at.

    Only a share of the masks may be kept (paper App. A), and images that the data set gives none
    may borrow one of those that are kept. Then as large a share of the images without one borrows.

    Args:
        labels: int64 (N,).
        has_mask: bool (N,), the images that the data set gives a mask.
        view: what share is kept, and whether others borrow.
        seed: draws which ones.
        data: the data set's name, for errors.

    Returns:
        Which images have a mask in training, bool (N,), and of which image each shows it, int64 (N,).

    Raises:
        DataError: masks are to be borrowed, but every image has one.
    """
    borrowed = view.masks_without == "borrowed"
    if borrowed and has_mask.all():
        raise DataError(
            "masks_without borrowed has no effect, as every training image has a mask",
            path=data,
            advice="leave it out",
        )
    wanted = torch.ones_like(has_mask) if borrowed else has_mask
    if view.masks < 1:
        wanted = keep_share(labels, wanted, view.masks, np.random.default_rng(derived_seed(seed, "masks")))
    owners = wanted & has_mask
    if not borrowed:
        return owners, torch.arange(len(labels))
    shown = lenders(wanted & ~has_mask, owners, _lending(seed, "train"))
    return wanted & owners.any(), shown


def judged_lenders(
    has_mask: Tensor, view: View, objectives: Chosen, *, seed: int, split: str
) -> Tensor | None:
    """Of which image of a split each shows the mask where it is judged, int64 (N,).

    None where nobody borrows: only what a run masks in evaluation too needs a mask there.
    """
    if not shown_always(objectives) or view.masks_without != "borrowed":
        return None
    return lenders(~has_mask, has_mask, _lending(seed, split))


def with_lent_masks(samples: Samples, view: View, objectives: Chosen, *, seed: int, split: str) -> Samples:
    """A split as stored, with the borrowed masks by which a run cuts the images it is judged on too."""
    shown = judged_lenders(samples.has_mask, view, objectives, seed=seed, split=split)
    return samples if shown is None else _with_masks_of(samples, shown)


def _lending(seed: int, split: str) -> np.random.Generator:
    return np.random.default_rng(derived_seed(seed, "lending", SPLITS.index(split)))


def _with_masks_of(samples: Samples, shown: Tensor) -> Samples:
    """The same images, each with the mask of the image that `shown`, int64 (N,), names."""
    return replace(
        samples,
        masks=samples.masks[shown],
        has_mask=samples.has_mask[shown],
        native=None if samples.native is None else samples.native[shown],
    )
