"""Adam for the weights of several seeds in one stretch of memory: a seed can stop, and the others go on."""

from activmask.kernels.adam.forms import adam
from activmask.kernels.adam.parts import Parts, parts_of

__all__ = ["Parts", "adam", "parts_of"]
