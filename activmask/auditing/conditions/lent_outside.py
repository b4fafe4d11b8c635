"""The outline of a mask and nothing else of its image: a hole in the outside of another image.

An outside that is shown with a blank inside shows the mask's outline as well. What a classifier makes of the
outline alone is measured by cutting the same hole into the outside of an image of somebody else, whose own
region is filled in so that its outline hardly shows.

Shapes: b images of n, C channels, H x W pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.data.gaussian_blur import gaussian_blur

_LEAST_WEIGHT = 1e-3
"""Of the mean of the outside, where a region is so wide that its middle has no pixels of the outside near."""


def lenders(subjects: NDArray[np.object_], rng: np.random.Generator) -> Tensor:
    """Whose outside each of n images is shown on: places among them, int64 (n,), each of which occurs once.

    Everybody's is somebody else's, but where more than half of all images are of one subject.

    Args:
        subjects: (n,), whom each image shows.
        rng: draws them, whatever the images are.
    """
    _, whose = np.unique(subjects.astype(str), return_inverse=True)
    # Each subject's images lie together: as many places away as any subject has images, it is another. They
    # lie in a drawn order, or who has one image of each class would lend them to the same classes.
    drawn = rng.permutation(len(whose))
    order = drawn[np.argsort(rng.permutation(whose.max() + 1)[whose[drawn]], kind="stable")]
    n, most = len(order), int(np.bincount(whose).max())
    shift = int(rng.integers(most, n - most + 1)) if most <= n - most else n // 2
    found = np.empty(n, np.int64)
    found[order] = np.roll(order, shift)
    return torch.from_numpy(found)


def filled(images: Tensor, regions: Tensor, sigma: float) -> Tensor:
    """Images whose regions are filled in with what surrounds them, so that hardly an outline shows.

    Each pixel of a region is a mean of the outside by its distance (normalised convolution, Knutsson & Westin
    1993, doi 10.1109/CVPR.1993.341081), or, far from all of it, the mean of the outside; and what is finer
    than that, grain and edges, is added from another place of the outside. A smooth patch would show.

    Args:
        images: float32 (b, C, H, W) in [0, 1].
        regions: bool (b, 1, H, W), none of which covers its image; images without an inside stay as they are.
        sigma: of the Gaussian, in px.
    """
    around = ~regions
    shown = images * around
    total = shown.double().sum(dim=(2, 3), keepdim=True)
    mean = (total / around.sum(dim=(2, 3), keepdim=True)).float()
    coarse = (gaussian_blur(shown, sigma, "constant") + _LEAST_WEIGHT * mean) / (
        gaussian_blur(around.float(), sigma, "constant") + _LEAST_WEIGHT
    )
    grain = _elsewhere((images - coarse) * around, regions)
    return torch.where(regions, (coarse + grain).clamp(0, 1), images)


def _elsewhere(grain: Tensor, regions: Tensor) -> Tensor:
    """Grain (b, C, H, W) moved so that most of what comes to lie in the regions was outside of them."""
    height, width = grain.shape[-2:]
    moves = [(down * height // 4, right * width // 4) for down in range(4) for right in range(4)][1:]
    overlap = torch.stack([(regions & regions.roll(move, (2, 3))).sum(dim=(1, 2, 3)) for move in moves])
    best = overlap.argmin(dim=0).tolist()
    return torch.stack([one.roll(moves[k], (1, 2)) for one, k in zip(grain, best, strict=True)])
