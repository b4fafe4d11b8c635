"""The scores of all seeds after an epoch, on their device; the best weights of each are kept there.

Shapes: R seeds, V judged images, K classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from activmask.models.stacked.layout import Layout
from activmask.models.stacked.network import forward, leaves, mode
from activmask.objectives.chosen import needs
from activmask.runs.selection import MARGIN
from activmask.training.graphs.epoch_verdict import SplitScores
from activmask.training.replicas.predictions import evaluation_batch, lead_over_rest
from activmask.training.stacks.group import Group, JudgedTogether


def judge(group: Group) -> None:
    """Score every seed's weights as they are, and keep those that are better than all before.

    Writes `best`, `merits` and `verdicts`.
    """
    scores = {name: _scores(group, split) for name, split in group.splits.items()}
    valid, select = scores["valid"], group.replicas[0].config.training.select
    merit = {"auc": valid.auc, "accuracy": valid.accuracy, "loss": -valid.loss}[select]
    improved = (merit > group.merits + MARGIN[select]) & valid.finite.bool() & (group.stopped == 0)
    group.merits.copy_(torch.where(improved, merit, group.merits))
    _keep(group.best.weights, group.stacked.weights, group.stacked.layout, improved)
    _keep(group.best.statistics, group.stacked.statistics, group.stacked.statistics_layout, improved)
    group.best.batches.copy_(torch.where(improved, group.stacked.batches, group.best.batches))
    columns = [improved.double(), *(number for own in scores.values() for number in own)]
    group.verdicts.copy_(torch.stack(columns, dim=1))


def _keep(best: Tensor, now: Tensor, layout: Layout, improved: Tensor) -> None:
    """Copy the numbers of those seeds that improved."""
    for kept, own in zip(best.split(layout.sizes), now.split(layout.sizes), strict=True):
        shape = layout.seeds, -1
        kept.view(shape).copy_(torch.where(improved[:, None], own.view(shape), kept.view(shape)))


def logits_of(group: Group, split: JudgedTogether) -> Tensor:
    """What all seeds' networks say of a split, float32 (R, V, K)."""
    size = evaluation_batch(split.images[0])
    # As in training, whose kernels then serve here too.
    tapped = needs(group.replicas[0].config.objectives).activations
    with torch.no_grad(), mode(group.stacked, training=False):
        [weights] = leaves(group.stacked)
        parts = [
            forward(group.stacked, weights, images, reconstruct=False, tapped=tapped).logits.float()
            for images in split.images.split(size, dim=1)
        ]
        return torch.cat(parts, dim=1)


def _scores(group: Group, split: JudgedTogether) -> SplitScores:
    """Each (R,)."""
    with torch.no_grad():
        logits = logits_of(group, split)
        accuracy = (logits.argmax(dim=2) == split.labels).double().mean(dim=1)
        wide, shape = logits.double(), split.labels.shape
        losses = F.cross_entropy(wide.flatten(0, 1), split.labels.flatten(), reduction="none").view(shape)
        return SplitScores(
            auc=auc(wide, split.labels, split.classes),
            accuracy=accuracy,
            loss=losses.mean(dim=1),
            finite=logits.isfinite().flatten(1).all(dim=1).double(),
        )


def auc(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The AUC of each seed (R,), as the share of pairs in the right order, ties counting half.

    Args:
        logits: float64 (R, V, K), finite.
        labels: int64 (R, V); every class occurs.
        classes: K; beyond two, the mean over classes of each against all others.
    """
    if classes == 2:
        return _share_won(logits[..., 1] - logits[..., 0], labels == 1)
    leads = lead_over_rest(logits)
    return torch.stack([_share_won(leads[..., own], labels == own) for own in range(classes)]).mean(dim=0)


def _share_won(scores: Tensor, positive: Tensor) -> Tensor:
    # Above all others, the positives are nobody's rivals.
    rivals = scores.masked_fill(positive, torch.inf).sort(dim=1).values
    own = scores.contiguous()
    won_twice = torch.searchsorted(rivals, own) + torch.searchsorted(rivals, own, right=True)
    wins = (won_twice * positive).sum(dim=1).double()
    return wins / (2 * positive.sum(dim=1) * (~positive).sum(dim=1))
