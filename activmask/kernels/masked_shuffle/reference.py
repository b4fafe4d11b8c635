"""The masked shuffle in plain PyTorch: two sorts per batch, no loop over images."""

import torch
from torch import Tensor

_KEYS = 2**62


def source_positions(masks: Tensor, generator: torch.Generator) -> Tensor:
    """For each pixel, the flat position its new value comes from.

    Both sorts list the outside pixels first, one in reading order and one in random order, and
    the inside pixels after them in reading order; pairing the two lists moves only the outside.

    Args:
        masks: bool (B, 1, H, W), True inside the region of interest.
        generator: the source of the random order.

    Returns:
        int64 (B, H * W).
    """
    inside = masks.flatten(1)
    keys = torch.randint(_KEYS, inside.shape, generator=generator, device=masks.device)
    drawn = keys.masked_fill(inside, _KEYS).argsort(dim=1, stable=True)
    in_place = inside.to(torch.uint8).argsort(dim=1, stable=True)
    return torch.empty_like(drawn).scatter_(1, in_place, drawn)


def masked_shuffle(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """The reference of `activmask.kernels.masked_shuffle.masked_shuffle`; same arguments and result."""
    source = source_positions(masks, generator)
    flat = images.flatten(2)
    return flat.gather(2, source[:, None].expand_as(flat)).view_as(images)
