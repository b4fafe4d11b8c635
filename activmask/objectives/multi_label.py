"""The classification loss of labels that do not exclude each other.

Shapes: B images, L labels. Labels are int64 (B, L) of 0 and 1, -1 where unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def label_cross_entropy(logits: Tensor, labels: Tensor, batch: Tensor | None = None) -> Tensor:
    """The mean binary cross-entropy over all labels that are known, each by its own logit.

    -t log s(z) - (1 - t) log(1 - s(z)) with s the logistic function (Bishop 2006, Eq. 4.90); labels that are
    unknown take no part, and of no known label the loss is 0.

    Args:
        logits: (B, L).
        labels: (B, L).
        batch: the labels of the whole batch of which these images are a part; the mean over parts, each
            counted by its images, is then that over the batch.
    """
    from torch.nn import functional as F

    known = labels >= 0
    total = F.binary_cross_entropy_with_logits(
        logits, labels.clamp(min=0).to(logits.dtype), weight=known.to(logits.dtype), reduction="sum"
    )
    whole = labels if batch is None else batch
    return total / ((whole >= 0).sum().clamp(min=1) * (len(labels) / len(whole)))


def positive_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits of the labels that are true of each image, summed, (B,); 0 where none is."""
    return (logits * (labels == 1)).sum(dim=1)


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probabilities of both answers about each label, summed over labels, (B,)."""
    from torch.nn import functional as F

    return (F.logsigmoid(logits) + F.logsigmoid(-logits)).sum(dim=1)
