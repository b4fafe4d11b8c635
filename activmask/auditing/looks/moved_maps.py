"""Random maps of the same grain as given ones: each moved to a random place of its image.

Shapes: N maps of H x W pixels.
"""

import numpy as np
from numpy.typing import NDArray


def moved(maps: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Each map (N, H, W) shifted by random rows and columns; what leaves one edge enters at the other.

    Values and their neighbours stay together, so that what is compared with chance is the place that a
    map points to, and not how coarse it is: single pixels strewn at random disturb a network otherwise
    than patches do.
    """
    height, width = maps.shape[1:]
    shifts = rng.integers([height, width], size=(len(maps), 2))
    return np.stack([np.roll(one, shift, axis=(0, 1)) for one, shift in zip(maps, shifts, strict=True)])
