"""Changes of training images by chance, alike for an image and its mask, by `torchvision.transforms.v2`.

Shapes: B images, C channels, S the stored and T the network's side in px.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activmask.data.recipe import Recipe
from activmask.machine.compiler import without_compiler

if TYPE_CHECKING:
    from torchvision.transforms import v2

LEAST_AREA = 0.7
"""Of the image, that a crop keeps."""
MOST_STRETCH = 0.9
"""Of a crop's sides by each other."""
MOST_DEGREES = 10
MOST_JITTER = 0.2
"""By which share brightness and contrast change at most."""


def transformed(
    images: Tensor,
    masks: Tensor,
    names: Sequence[str],
    size: int,
    generator: torch.Generator,
    *,
    upright: bool,
) -> tuple[Tensor, Tensor]:
    """Each image and its mask cropped, flipped, turned and changed in intensity by chance.

    Images are interpolated, masks take their nearest pixel. What a turn brings in from beyond the image
    is black and outside the mask; a mask that covers everything, as that of an image without one, does
    so afterwards.

    Args:
        images: float (B, C, S, S) in [0, 1].
        masks: bool (B, 1, S, S).
        names: some of `settings.AUGMENTATIONS`.
        size: T; without "crop" it is S.
        generator: draws them. The global one, from which torchvision draws, is left as it was.
        upright: nothing is turned upside down.

    Returns:
        Images (B, C, T, T) in [0, 1] and masks (B, 1, T, T).
    """
    # Training that changes no image need not wait for torchvision.
    with without_compiler():
        from torchvision import tv_tensors

    change = _change(tuple(names), size, upright)
    seeds = torch.randint(2**62, (len(images),), generator=generator, device=generator.device).tolist()
    pairs = []
    with torch.random.fork_rng(devices=[]):
        for seed, image, mask in zip(seeds, images, masks, strict=True):
            torch.default_generator.manual_seed(seed)
            pairs.append(change(tv_tensors.Image(image), tv_tensors.Mask(mask.to(torch.uint8))))
    whole = masks.flatten(1).all(dim=1)[:, None, None, None]
    changed, moved = (torch.stack([pair[part].as_subclass(Tensor) for pair in pairs]) for part in (0, 1))
    return changed, moved.bool() | whole


@cache
def _change(names: tuple[str, ...], size: int, upright: bool) -> "v2.Compose":
    with without_compiler():
        from torchvision.transforms import v2

    stretch = (MOST_STRETCH, 1 / MOST_STRETCH)
    turned = v2.InterpolationMode.BILINEAR
    steps = {
        "crop": [v2.RandomResizedCrop(size, scale=(LEAST_AREA, 1.0), ratio=stretch, antialias=True)],
        "flips": [v2.RandomHorizontalFlip(), *([] if upright else [v2.RandomVerticalFlip()])],
        "rotate": [v2.RandomRotation(MOST_DEGREES, interpolation=turned)],
        "intensity": [v2.ColorJitter(brightness=MOST_JITTER, contrast=MOST_JITTER)],
    }
    return v2.Compose([step for name in names for step in steps[name]])


def stays_upright(recipe: Recipe) -> bool:
    """Whether a data set's images make no sense upside down: chest X-rays, by what its card says of them."""
    return recipe.get("source") == "xray"
