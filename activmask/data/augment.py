"""Crops and flips, the same for an image and its mask.

Shapes: B images, C channels, S the stored and T the network's side in px.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The middle T x T px of images (B, C, S, S); what evaluation sees."""
    start = (images.shape[-1] - size) // 2
    return images[..., start : start + size, start : start + size]


def resize_whole(images: Tensor, masks: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The whole of images (B, C, S, S) and masks (B, 1, S, S) at T x T px.

    Images bilinearly, with the filter widened where they shrink (antialiased), masks by their
    nearest pixel.
    """
    shape = (size, size)
    smaller = F.interpolate(images, shape, mode="bilinear", antialias=True)
    nearest = F.interpolate(masks.to(images.dtype), shape, mode="nearest-exact")
    return smaller, nearest > 0.5


def random_crop_flip(
    images: Tensor, masks: Tensor, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A random crop, and horizontal and vertical flips with probability one half each.

    Args:
        images: (B, C, S, S).
        masks: (B, 1, S, S).
        size: T, at most S.
        generator: draws them, on the device of `images`.

    Returns:
        Images (B, C, T, T) and masks (B, 1, T, T).
    """
    batch, slack = len(images), images.shape[-1] - size + 1

    def axis_positions() -> Tensor:
        start = torch.randint(slack, (batch, 1), generator=generator, device=images.device)
        flip = torch.randint(2, (batch, 1), generator=generator, device=images.device).bool()
        forward = torch.arange(size, device=images.device)
        return start + torch.where(flip, forward.flip(0), forward)

    rows, columns = axis_positions()[:, None, :, None], axis_positions()[:, None, None, :]
    sample = torch.arange(batch, device=images.device)[:, None, None, None]

    def crop(stack: Tensor) -> Tensor:
        channel = torch.arange(stack.shape[1], device=stack.device)[None, :, None, None]
        return stack[sample, channel, rows, columns]

    return crop(images), crop(masks)
