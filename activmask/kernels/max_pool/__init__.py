"""The maxima of windows of 2 x 2 pixels, and where their derivatives belong, with no indices kept.

Torch keeps an index of 8 bytes for each maximum and adds gradients up where they belong, which windows
that do not overlap have no need of: here the place is found anew from the images.
"""

from activmask.kernels.max_pool.operators import max_pool

__all__ = ["max_pool"]
