"""Which numbers of a stretch of memory belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 1024
"""Numbers that one program of a kernel changes: of one part alone, so that it reads its state once."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """P parts that fill N numbers one after another, in K blocks; of R seeds, part p is seed p % R's."""

    sizes: Tensor
    """int64 (P,), how many numbers each has."""
    blocks: Tensor
    """int64 (K, 3): the first number of a block, that after its last, and its part."""


def parts_of(sizes: Sequence[int], device: torch.device) -> Parts:
    """Parts of so many numbers each, on a device."""
    blocks, first = [], 0
    for part, size in enumerate(sizes):
        end = first + size
        blocks += [(start, min(start + BLOCK, end), part) for start in range(first, end, BLOCK)]
        first = end
    return Parts(
        sizes=torch.tensor(sizes, dtype=torch.int64, device=device),
        blocks=torch.tensor(blocks, dtype=torch.int64, device=device).view(-1, 3),
    )
