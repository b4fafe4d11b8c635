"""Destroy the spatial information outside a region of interest, keep its intensities."""

import torch
from torch import Tensor

from activmask.kernels.masked_shuffle import reference


def masked_shuffle(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """Permute, per image, the pixels outside its mask uniformly at random (paper sec. 3).

    Pixels inside the mask stay where they are; all channels of a pixel move together; every call
    draws fresh permutations from `generator`.

    Args:
        images: (B, C, H, W), any dtype.
        masks: bool (B, 1, H, W), True inside the region of interest.
        generator: the only source of randomness, on the device of `images`.

    Returns:
        (B, C, H, W), the shuffled copy.
    """
    return reference.masked_shuffle(images, masks, generator)
