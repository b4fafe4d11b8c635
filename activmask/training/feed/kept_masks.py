"""Which masks training looks at: a share of those of the data, borrowed ones, or those of a control.

Shapes: N images.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from activmask.data.masks import keep_share, lenders
from activmask.data.multi_label import kinds_of
from activmask.data.other_masks import anywhere, aside, derangement, moved, resized_by
from activmask.data.samples import Samples
from activmask.data.settings import View, takes_crops
from activmask.data.splits import EVERY_SPLIT
from activmask.data.view import at_network_size, with_dilated_masks
from activmask.ground.errors import DataError
from activmask.objectives.chosen import Chosen, shown_always
from activmask.runs.seeds import derived_seed


def to_train_on(samples: Samples, view: View, seed: int, data: str) -> Samples:
    """Training samples, masks dilated, only the run's share of them kept, and those moved if they are to be.

    They stay at their stored resolution where random crops are to be taken of them in training, and
    are seen as in evaluation where none are.

    Args:
        samples: as stored.
        view: what the network sees of them.
        seed: draws the masks.
        data: the data set's name, for errors.

    Raises:
        DataError: as `training_masks` and `check_distances`.
    """
    check_distances(view, samples.images.shape[-1], data)
    kept, shown = training_masks(samples.labels, samples.has_mask, view, seed, data)
    moves = training_moves(len(samples), view, seed)
    return with_kept_masks(_with_masks_of(samples, shown), view, kept, moves)


def with_kept_masks(samples: Samples, view: View, kept: Tensor, moves: Tensor | None = None) -> Samples:
    """`to_train_on` for any part of the training samples.

    Masks grow and move last, at the size that training sees or, where it takes random crops, at the
    stored one.

    Args:
        samples: as stored, each with the mask that it shows.
        view: what the network sees of them.
        kept: which of them keep their mask, bool (N,).
        moves: by which parts of the image masks move, float64 (N, 2); None leaves them in place.
    """
    dilated = with_dilated_masks(samples, view)
    some = replace(dilated, masks=dilated.masks | ~kept[:, None, None, None], has_mask=kept)
    seen = some if takes_crops(view) else at_network_size(some, view)
    if view.mask_grow:
        seen = replace(seen, masks=resized_by(seen.masks, _whole_px(view.mask_grow, seen.masks.shape[-1])))
    return seen if moves is None else replace(seen, masks=moved(seen.masks, moves))


def training_moves(count: int, view: View, seed: int) -> Tensor | None:
    """By which parts of the image each of `count` training masks moves, see `moved`; None if they stay.

    Drawn once for a seed, so that an image shows one mask in all epochs, as it does without a control.
    """
    rng = np.random.default_rng(derived_seed(seed, "places"))
    if view.train_masks == "random":
        return anywhere(count, rng)
    return aside(count, view.mask_shift, rng) if view.mask_shift else None


def check_distances(view: View, stored_side: int, data: str) -> None:
    """Refuse distances that would come to less than a px of what training sees.

    Args:
        view: whose distances are parts of the image's side.
        stored_side: of the images, in px.
        data: the data set's name, for errors.

    Raises:
        DataError: says how many px it would take.
    """
    side = stored_side if takes_crops(view) else view.image_size or stored_side
    for name, part in (("mask_shift", view.mask_shift), ("mask_grow", abs(view.mask_grow))):
        if 0 < part * side < 1:
            raise DataError(
                f"{name} comes to {part * side:.2g} px of images of {side} px a side, less than one",
                path=data,
                advice=f"choose at least {1 / side:.4f}",
            )


def _whole_px(part: float, side: int) -> int:
    """A part of a side in whole px, away from 0 by the nearest, halves further."""
    px = math.floor(abs(part) * side + 0.5)
    return px if part > 0 else -px


def training_masks(
    labels: Tensor, has_mask: Tensor, view: View, seed: int, data: str
) -> tuple[Tensor, Tensor]:
    """Which masks training looks at.

    Only a share of the masks may be kept (paper App. A), and images that the data set gives none
    may borrow one of those that are kept. Then as large a share of the images without one borrows.
    Under `train_masks` other those that keep their mask exchange them, so that nobody has its own.

    Args:
        labels: int64 (N,), or (N, L) of labels that do not exclude each other: those with the same ones are
            then a class.
        has_mask: bool (N,), the images that the data set gives a mask.
        view: what share is kept, and whether others borrow.
        seed: draws which ones.
        data: the data set's name, for errors.

    Returns:
        Which images have a mask in training, bool (N,), and of which image each shows it, int64 (N,).

    Raises:
        DataError: masks are to be borrowed, but every image has one; or exchanged, but none or one is kept.
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
        kinds = kinds_of(labels)
        wanted = keep_share(kinds, wanted, view.masks, np.random.default_rng(derived_seed(seed, "masks")))
    owners = wanted & has_mask
    kept, shown = owners, torch.arange(len(labels))
    if borrowed:
        kept, shown = wanted & owners.any(), lenders(wanted & ~has_mask, owners, _lending(seed, "train"))
    return kept, _exchanged(shown, owners, seed, data) if view.train_masks == "other" else shown


def _exchanged(shown: Tensor, owners: Tensor, seed: int, data: str) -> Tensor:
    """The same, but of those that would show their own mask, none does."""
    numbers = torch.nonzero(owners).flatten()
    if len(numbers) < 2:
        raise DataError(
            f"train_masks other needs at least two training images with a mask, found {len(numbers)}",
            path=data,
            advice="give more images a mask, or leave it out",
        )
    order = derangement(len(numbers), np.random.default_rng(derived_seed(seed, "places", 1)))
    return shown.index_put((numbers,), numbers[order])


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
    return np.random.default_rng(derived_seed(seed, "lending", EVERY_SPLIT.index(split)))


def _with_masks_of(samples: Samples, shown: Tensor) -> Samples:
    """The same images, each with the mask of the image that `shown`, int64 (N,), names."""
    return replace(
        samples,
        masks=samples.masks[shown],
        has_mask=samples.has_mask[shown],
        native=None if samples.native is None else samples.native[shown],
    )
