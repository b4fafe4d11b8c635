"""Destroy the spatial information outside a region of interest, keep its intensities."""

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor

from activmask.kernels.masked_shuffle import reference

_HAS_TRITON = find_spec("triton") is not None


def masked_shuffle(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """Permute, per image, the pixels outside its mask uniformly at random (paper sec. 3).

    Pixels inside the mask stay where they are; all channels of a pixel move together; every call
    draws fresh permutations from `generator`. CUDA devices draw other permutations than the CPU.

    Args:
        images: (B, C, H, W), any dtype of at most 8 bytes.
        masks: bool (B, 1, H, W), True inside the region of interest.
        generator: the only source of randomness, on the device of `images`.

    Returns:
        (B, C, H, W), the shuffled copy.
    """
    if (images.is_cuda or images.is_meta) and _HAS_TRITON:
        from activmask.kernels.masked_shuffle import triton

        return triton.masked_shuffle(images, masks, generator)
    return reference.masked_shuffle(images, masks, generator)


def masked_shuffles(images: Tensor, masks: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """`masked_shuffle` of several seeds' images at once, each drawn from a generator of its own.

    Args:
        images: (R, B, C, H, W), of R seeds.
        masks: bool (R, B, 1, H, W).
        generators: R of them; a seed's permutations are those that it would have drawn by itself.

    Returns:
        (R, B, C, H, W).
    """
    if (images.is_cuda or images.is_meta) and _HAS_TRITON:
        from activmask.kernels.masked_shuffle import triton

        return triton.masked_shuffles(images, masks, generators)
    return reference.masked_shuffles(images, masks, generators)
