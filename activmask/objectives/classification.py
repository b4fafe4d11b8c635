"""The classification loss that every run has (paper sec. 4).

Shapes: B images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activmask.objectives.group_losses import group_loss
from activmask.objectives.multi_label import label_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.objectives.group_losses import GroupWeights, Membership

CLASSIFY = "classify"
"""The name of its term."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Classify:
    """The form of the cross-entropy; the paper's where nothing is said."""

    weights: Tensor | None = None
    """(K,), that of each class."""
    smoothing: float = 0.0
    """The share of each label that is spread over all classes (Szegedy et al. 2016, sec. 7), below 1."""
    groups: GroupWeights | None = None
    """How much the images of each group count, in place of `weights`."""


PLAIN = Classify()


def classification_loss(
    logits: Tensor,
    labels: Tensor,
    how: Classify = PLAIN,
    batch: Tensor | None = None,
    members: Membership | None = None,
) -> Tensor:
    """`cross_entropy` against classes (B,), or of labels (B, K) that do not exclude each other their own."""
    if labels.ndim == 2:
        assert how is PLAIN, "what balances, groups or smooths classes is refused before"
        return label_cross_entropy(logits, labels, batch)
    return cross_entropy(logits, labels, how, batch, members)


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    how: Classify = PLAIN,
    batch: Tensor | None = None,
    members: Membership | None = None,
) -> Tensor:
    """The mean cross-entropy of logits (B, K) against classes (B,) (paper sec. 4).

    With weights it is the sum of the images' weighted losses over the sum of their weights.

    Args:
        logits: of the images.
        labels: int64 (B,).
        how: its form.
        batch: the classes of the whole batch of which these images are a part; the mean over parts, each
            counted by its images, is then that over the batch.
        members: which groups the batch's images are in, where these count differently.
    """
    from torch.nn import functional as F

    if how.groups is not None:
        assert members is not None
        losses = F.cross_entropy(logits, labels, label_smoothing=how.smoothing, reduction="none")
        return group_loss(losses, members, how.groups)
    if how.weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=how.smoothing)
    total = F.cross_entropy(
        logits, labels, weight=how.weights, label_smoothing=how.smoothing, reduction="sum"
    )
    whole = labels if batch is None else batch
    return total / (how.weights[whole].sum() * (len(labels) / len(whole)))
