"""A few of many images, with classes as equal as they can be.

Shapes: N images.
"""

import numpy as np
from numpy.typing import NDArray


def balanced_draw(labels: NDArray[np.int64], most: int, *, seed: int) -> NDArray[np.int64]:
    """At most so many images, sorted; a class that has too few gives all that it has.

    Args:
        labels: int64 (N,).
        most: images that are drawn.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        ranks[own] = np.arange(len(own))
    first = order[np.argsort(ranks[order], kind="stable")]
    return np.sort(first[:most])
