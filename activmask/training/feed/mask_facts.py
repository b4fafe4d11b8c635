"""What a run's training masks cover, what their presence tells, and whether that is of any use.

Shapes: N images, H x W pixels of the network's size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from activmask.data.augment import centre_crop
from activmask.data.dilation import NATIVE_UNIT, STORED_UNIT
from activmask.data.mask_shares import Presence, Shares, shares
from activmask.data.masks import presence
from activmask.data.other_masks import Overlap, overlap
from activmask.data.samples import Samples
from activmask.data.settings import View, with_given_masks
from activmask.data.view import dilates
from activmask.ground.errors import DataError
from activmask.objectives.chosen import Chosen, needs, that_need
from activmask.runs.folder import PRESENCE
from activmask.training.feed.stream import AnySamples
from activmask.training.feed.workers import worker_losses_named

_TOGETHER = 256


@dataclass(frozen=True, kw_only=True)
class MaskFacts:
    """The masks of a run's training images, dilated."""

    images: int
    """N."""
    shares: Shares | None
    """Of the image that lies inside them, in the middle H x W px where training takes random crops; None
    where the images stay on disk and training looks at no mask."""
    presence: Presence
    """What having a mask tells of the class."""
    unit: str
    """What the blur's sigma counts."""
    overlap: Overlap | None = None
    """Of the masks that training looks at with those of the data, in the same px; None if they are those."""

    def to_json(self) -> dict[str, Any]:
        """The entries of a run's description."""
        covered = None if self.shares is None else {**self.shares.to_json(), "images": self.images}
        overlap = {} if self.overlap is None else {"mask_overlap": self.overlap.to_json()}
        return {"mask_shares": covered, **overlap, PRESENCE: vars(self.presence)}


def mask_facts(train: AnySamples, view: View, objectives: Chosen, given: Samples | None = None) -> MaskFacts:
    """Measure the masks that training sees; a stream is read once for it, and again beside those of the data.

    Args:
        train: the training images, as training sees them.
        view: where the middle of them is what the network sees.
        objectives: without one that looks at masks, those of a stream stay unread.
        given: the same images with the masks of the data, where training looks at others; a stream has both.

    Raises:
        DataError: a file of a stream is broken.
    """
    looked_at = isinstance(train, Samples) or needs(objectives).masks
    return MaskFacts(
        images=len(train),
        shares=_shares(train, view) if looked_at else None,
        presence=presence(train.labels.cpu(), train.has_mask),
        unit=_unit(train),
        overlap=_overlap(train, given, view),
    )


def _unit(train: AnySamples) -> str:
    native = train.native if isinstance(train, Samples) else train.images.workers.reader.train_table.native
    return STORED_UNIT if native is None else NATIVE_UNIT


def _shares(train: AnySamples, view: View) -> Shares:
    inside: list[Tensor] = []
    area = 0
    for seen in seen_masks(train, view):
        area = seen.shape[-2] * seen.shape[-1]
        inside.append(seen.flatten(1).sum(dim=1).cpu())
    return shares(torch.cat(inside)[train.has_mask].numpy(), area)


def seen_masks(train: AnySamples, view: View) -> Iterator[Tensor]:
    """The training masks in the middle of the image that the network sees, bool (n, 1, H, W) after such.

    Raises:
        DataError: a file of a stream is broken.
    """
    with worker_losses_named():
        for masks in _masks(train):
            yield centre_crop(masks, view.image_size) if view.image_size else masks


def _overlap(train: AnySamples, given: Samples | None, view: View) -> Overlap | None:
    if with_given_masks(view) == view:
        return None
    inside: list[Tensor] = []
    common: list[Tensor] = []
    area = 0
    with worker_losses_named():
        for pair in _beside_given(train, given):
            both = [centre_crop(one, view.image_size) if view.image_size else one for one in pair]
            ours, theirs = (one.cpu().flatten(1) for one in both)
            area = ours.shape[1]
            inside.append(torch.stack([ours.sum(dim=1), theirs.sum(dim=1)], dim=1))
            common.append((ours & theirs).sum(dim=1))
    kept = train.has_mask.cpu()
    return overlap(torch.cat(inside)[kept].numpy(), torch.cat(common)[kept].numpy(), area)


def _beside_given(train: AnySamples, given: Samples | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Masks as training sees them, and those of the data, bool (n, 1, S, S) each, after such pairs."""
    if isinstance(train, Samples):
        assert given is not None
        yield from zip(train.masks.split(_TOGETHER), given.masks.split(_TOGETHER), strict=True)
        return
    yield from train.images.masks_beside_given(_TOGETHER)


def _masks(train: AnySamples) -> Iterator[Tensor]:
    """All masks, bool (n, 1, S, S) after bool (n, 1, S, S)."""
    if isinstance(train, Samples):
        yield from train.masks.split(_TOGETHER)
        return
    for _, masks in train.images.read(torch.arange(len(train)).split(_TOGETHER)):
        yield masks


def check_masks(facts: MaskFacts, view: View, objectives: Chosen, data: str) -> None:
    """Refuse objectives that look at masks of which none has both an inside and an outside.

    Raises:
        DataError: says how many cover all of the image, and how many nothing of it.
    """
    found = facts.shares
    if not needs(objectives).masks or found is None or found.masks == 0 or found.partial:
        return
    raise DataError(
        f"of the {found.masks} training masks {found.full} cover the whole image and "
        f"{found.empty} nothing of it{_blurred(facts, view)}, so {_looking(objectives)} "
        "would have no effect on any image or leave nothing of it",
        path=data,
        advice="choose a smaller mask_blur, or mend the masks",
    )


def mask_notes(facts: MaskFacts, view: View, objectives: Chosen) -> list[str]:
    """What somebody who trains with these masks should know, a sentence each."""
    if not needs(objectives).masks:
        return []
    return [
        *_overlap_notes(facts, objectives),
        *_cover_notes(facts, view, objectives),
        *_presence_notes(facts, objectives),
    ]


def _overlap_notes(facts: MaskFacts, objectives: Chosen) -> Iterator[str]:
    found = facts.overlap
    if found is None:
        return
    if found.mean_iou is None or found.chance_iou is None:
        yield f"{_looking(objectives)} looks at other masks than those of the data, and all of them are empty"
        return
    yield (
        f"the masks that {_looking(objectives)} looks at in training have an intersection over union of "
        f"{found.mean_iou:.2f} with those of the data, mean over {found.masks} images "
        f"({found.chance_iou:.2f} for masks of these areas at random places); evaluation takes those of the "
        "data"
    )


def _cover_notes(facts: MaskFacts, view: View, objectives: Chosen) -> Iterator[str]:
    found = facts.shares
    if found is None or not (found.full or found.empty):
        return
    yield (
        f"of the {found.masks} training masks {found.full} cover the whole image and {found.empty} nothing "
        f"of it{_blurred(facts, view)} (median share inside {found.median:.1%}): where nothing is outside, "
        f"{_looking(objectives)} changes nothing, and where nothing is inside, nothing is kept"
    )


def _presence_notes(facts: MaskFacts, objectives: Chosen) -> Iterator[str]:
    if facts.presence.tells:
        yield (
            f"whether an image has a mask tells its class: AUC {facts.presence.auc:.2f} of the mask's "
            f"presence alone on the {facts.images} training images (by chance 0.50 ± "
            f"{facts.presence.chance_distance:.2f}), and images without one stay whole, so what "
            f"{_looking(objectives)} comes to may be due to that; masks_without borrowed lends them masks"
        )


def _blurred(facts: MaskFacts, view: View) -> str:
    if view.mask == "circle":
        return " (circles, in the middle of the image that the network sees)"
    return f" once mask_blur {view.mask_blur:g} ({facts.unit}) has dilated them" if dilates(view) else ""


def _looking(objectives: Chosen) -> str:
    return " and ".join(that_need(objectives, "masks"))
