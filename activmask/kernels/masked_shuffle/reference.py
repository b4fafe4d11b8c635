"""The masked shuffle in plain PyTorch: two sorts per batch, no loop over images."""

from collections.abc import Sequence

import torch
from torch import Tensor

_KEYS = 2**62


def source_positions(masks: Tensor, generator: torch.Generator) -> Tensor:
    """For each pixel, the flat position its new value comes from, int64 (B, H * W).

    Args:
        masks: bool (B, 1, H, W), True inside the region of interest.
        generator: the source of the random order.
    """
    return _positions(masks, _keys(masks, generator))


def _keys(masks: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(_KEYS, masks.flatten(1).shape, generator=generator, device=masks.device)


def _positions(masks: Tensor, keys: Tensor) -> Tensor:
    """The flat positions that each pixel's new value comes from, int64 (B, H * W), by random keys of it.

    Both sorts list the outside pixels first, one in reading order and one in random order, and
    the inside pixels after them in reading order; pairing the two lists moves only the outside.
    """
    inside = masks.flatten(1)
    drawn = keys.masked_fill(inside, _KEYS).argsort(dim=1, stable=True)
    in_place = inside.to(torch.uint8).argsort(dim=1, stable=True)
    return torch.empty_like(drawn).scatter_(1, in_place, drawn)


def masked_shuffle(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """The reference of `activmask.kernels.masked_shuffle.masked_shuffle`; same arguments and result."""
    return _moved(images, source_positions(masks, generator))


def masked_shuffles(images: Tensor, masks: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """The reference of `activmask.kernels.masked_shuffle.masked_shuffles`; same arguments and result."""
    keys = torch.cat([_keys(own, generator) for own, generator in zip(masks, generators, strict=True)])
    return _moved(images.flatten(0, 1), _positions(masks.flatten(0, 1), keys)).view_as(images)


def _moved(images: Tensor, source: Tensor) -> Tensor:
    """Images (B, C, H, W) whose pixels come from the positions `source` (B, H * W)."""
    flat = images.flatten(2)
    return flat.gather(2, source[:, None].expand_as(flat)).view_as(images)
