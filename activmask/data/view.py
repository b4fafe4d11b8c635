"""From images as they are stored to what the network sees of them, and of their masks.

Masks grow on the grid that they were drawn on, so before anything is cropped or resized.
"""

from dataclasses import replace
from pathlib import Path

import torch

from activmask.data.augment import centre_crop, resize_whole
from activmask.data.dilation import dilation_radius
from activmask.data.masks import circle, dilate
from activmask.data.samples import Samples
from activmask.data.settings import View
from activmask.ground.errors import DataError

SCALE_UNKNOWN = (
    "the data set was prepared by an earlier version, which did not record of how many px each slice was "
    "(native_height and native_width in metadata.csv); prepare it anew with prepare-msd"
)
"""Why the masks of a data set cannot be dilated."""


def as_seen(samples: Samples, view: View) -> Samples:
    """The same samples with their masks dilated, then at the network's size.

    Raises:
        DataError: there are masks, and the data set does not say of how many px the slices were.
    """
    return at_network_size(with_dilated_masks(samples, view), view)


def at_network_size(samples: Samples, view: View) -> Samples:
    """The same samples cropped or resized as `evaluate_view` says, masks as they are."""
    if view.image_size in {0, samples.images.shape[-1]}:
        return samples
    if view.evaluate_view == "whole":
        images, masks = resize_whole(samples.images, samples.masks, view.image_size)
        return replace(samples, images=images, masks=masks)
    images, masks = (centre_crop(stack, view.image_size) for stack in (samples.images, samples.masks))
    return replace(samples, images=images, masks=masks)


def with_dilated_masks(samples: Samples, view: View) -> Samples:
    """The same samples, their masks grown by the view's blur on the grid they were drawn on.

    Raises:
        DataError: there are masks, and the data set does not say how large that grid was.
    """
    if view.mask == "circle":
        return samples
    if scale_unknown(samples) and dilates(view):
        if samples.has_mask.any():
            raise unscaled(samples.names[0], view)
        return samples
    native = None if scale_unknown(samples) else samples.native
    return replace(samples, masks=dilate(samples.masks, view.mask_blur, native))


def with_mask_source(samples: Samples, view: View) -> Samples:
    """The same samples with the masks the view asks for: those of the data set, or circles.

    Masks that cannot be dilated, because the data set does not say on which grid they were drawn, are
    taken for missing.
    """
    if view.mask == "circle":
        size = samples.images.shape[-1]
        masks = circle(size).expand(len(samples), 1, size, size)
        return replace(samples, masks=masks, has_mask=torch.ones(len(samples), dtype=torch.bool))
    if scale_unknown(samples) and dilates(view):
        whole = torch.ones_like(samples.masks)
        return replace(samples, masks=whole, has_mask=torch.zeros_like(samples.has_mask))
    return samples


def dilates(view: View) -> bool:
    """Whether the view grows masks: circles never, others by a blur that reaches as far as a px."""
    return view.mask == "file" and dilation_radius(view.mask_blur) > 0


def scale_unknown(samples: Samples) -> bool:
    """Whether the samples were slices once and nothing says of how many px."""
    return samples.native is not None and bool((samples.native == 0).any())


def unscaled(path: Path | str, view: View) -> DataError:
    """What to raise where masks cannot be dilated, of a data set or an image."""
    return DataError(
        f"mask_blur {view.mask_blur:g} counts px of the original slice, but {SCALE_UNKNOWN}, or set "
        "mask_blur to 0",
        path=path,
    )
