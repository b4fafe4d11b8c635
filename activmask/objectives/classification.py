"""The classification loss that every run has (paper sec. 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CLASSIFY = "classify"
"""The name of its term."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of logits (B, K) against classes (B,) (paper sec. 4)."""
    from torch.nn import functional as F

    return F.cross_entropy(logits, labels)
