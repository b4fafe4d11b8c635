"""An epoch of one replica that its device can do alone: the host reads nothing before the end.

That is what a CUDA graph can record. The arithmetic is that of `epoch`, step by step and bit by
bit; only the AUC is counted another way, because scikit-learn computes on the host.

Shapes: N training images, S steps of a segment, T terms, V images of a judged split, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from activmask.data.samples import Samples
from activmask.models.build import plain_weights
from activmask.objectives.step import loss_names
from activmask.runs.optimisation import changes_rate
from activmask.runs.selection import MARGIN
from activmask.training.graphs.epoch_verdict import SplitScores, pack_verdict
from activmask.training.replicas.epoch import forward_step, members_of, update
from activmask.training.replicas.optimizer import set_rate
from activmask.training.replicas.predictions import evaluation_batch, lead_over_rest, mean_cross_entropy
from activmask.training.replicas.replica import Replica, class_count


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Steps that follow each other, as many as one recording holds."""

    sizes: tuple[int, ...]
    """Images of each of its S steps."""
    picked: Tensor
    """int64 (sum of sizes,), which training images; to be written before it runs."""
    values: Tensor
    """float32 (S, 1 + T), each step's loss and weighted terms, as the run left them."""
    rates: Tensor | None
    """float32 (S,), each step's learning rate, to be written too; None where it never changes."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A split that the epoch is scored on, on the device."""

    images: Tensor
    """(V, C, H, W)."""
    labels: Tensor
    """int64 (V,)."""
    members: tuple[tuple[Tensor, Tensor], ...]
    """Of each class that is ranked, the positions of its images and of all others."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What one epoch leaves for the next, each a scalar on the device."""

    stopped: Tensor
    """float32, 1 from the first step on whose loss was not finite; the weights stay as they were then."""
    best: Tensor
    """float64, the merit of the best epoch so far, see `selection.merit`."""


def new_segment(replica: Replica, sizes: tuple[int, ...]) -> Segment:
    """Steps of so many images each."""
    device = replica.device
    return Segment(
        sizes=sizes,
        picked=torch.zeros(sum(sizes), dtype=torch.int64, device=device),
        values=torch.zeros(len(sizes), 1 + len(loss_names(replica.config.objectives)), device=device),
        rates=torch.zeros(len(sizes), device=device) if changes_rate(replica.config.optimisation) else None,
    )


def new_health(replica: Replica) -> Health:
    """For a replica that can go on."""
    return Health(
        stopped=torch.zeros((), device=replica.device),
        best=torch.tensor(replica.best_score, dtype=torch.float64, device=replica.device),
    )


def judged(replica: Replica, split: str) -> Judged:
    """A split in memory, copied to the replica's device."""
    samples, device = replica.splits[split], replica.device
    assert isinstance(samples, Samples)
    classes = class_count(replica.splits)
    # Two classes have one ranking between them.
    ranked = [1] if classes == 2 else range(classes)
    members = tuple(
        (
            (samples.labels == label).nonzero()[:, 0].to(device),
            (samples.labels != label).nonzero()[:, 0].to(device),
        )
        for label in ranked
    )
    return Judged(images=samples.images.to(device), labels=samples.labels.to(device), members=members)


def take_steps(replica: Replica, segment: Segment, health: Health, generator: torch.Generator) -> None:
    """Take a segment's optimizer steps; none changes a weight once a loss is no longer finite.

    Args:
        replica: its samples are in memory on the device, and it has taken a step before.
        segment: which images, and how large its steps are; its `values` are written.
        health: is updated.
        generator: draws shuffles, cutouts and crops.
    """
    train = replica.train
    assert isinstance(train, Samples)
    replica.model.train()
    with stopping(replica, health.stopped):
        for step, picked in enumerate(segment.picked.split(segment.sizes)):
            batch = train.images[picked], train.masks[picked], train.labels[picked]
            passed = forward_step(replica, *batch, generator, members_of(replica, picked))
            segment.values[step].copy_(passed.values)
            health.stopped.copy_(torch.maximum(health.stopped, (~passed.values[0].isfinite()).float()))
            if segment.rates is not None:
                set_rate(replica.optimizer, segment.rates[step])
            update(replica, passed)


@contextmanager
def stopping(replica: Replica, stopped: Tensor) -> Iterator[None]:
    """Have the fused optimizers leave everything as it is where the scalar `stopped` is 1."""
    both = optimizers(replica)
    for optimizer in both:
        optimizer.found_inf = stopped  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for optimizer in both:
            del optimizer.found_inf  # type: ignore[attr-defined]


def optimizers(replica: Replica) -> list[torch.optim.Adam]:
    """The network's and, where there is one, the discriminator's."""
    second = replica.discriminator_optimizer
    return [replica.optimizer] if second is None else [replica.optimizer, second]


def judge_epoch(replica: Replica, splits: dict[str, Judged], health: Health, verdict: Tensor) -> None:
    """Score the judged weights as they are; they become the `best_weights` if none were better before.

    Args:
        replica: its `best_weights` are tensors to be written into.
        splits: `valid`, and others to be scored too.
        health: is updated.
        verdict: from `new_verdict`, is written.
    """
    scores = {name: _scores(replica.judged, split) for name, split in splits.items()}
    valid, select = scores["valid"], replica.config.training.select
    merit = {"auc": valid.auc, "accuracy": valid.accuracy, "loss": -valid.loss}[select]
    improved = (merit > health.best + MARGIN[select]) & valid.finite.bool() & (health.stopped == 0)
    health.best.copy_(torch.where(improved, merit, health.best))
    for name, tensor in plain_weights(replica.judged).items():
        best = replica.best_weights[name]
        best.copy_(torch.where(improved, tensor, best))
    pack_verdict(verdict, improved, scores)


def _scores(model: nn.Module, split: Judged) -> SplitScores:
    model.eval()
    with torch.no_grad():
        batches = split.images.split(evaluation_batch(split.images))
        logits = torch.cat([model(batch, reconstruct=False).logits.float() for batch in batches])
        accuracy = (logits.argmax(dim=1) == split.labels).double().mean()
        loss, finite = mean_cross_entropy(logits, split.labels), logits.isfinite().all().double()
        return SplitScores(auc=_auc(logits.double(), split), accuracy=accuracy, loss=loss, finite=finite)


def _auc(logits: Tensor, split: Judged) -> Tensor:
    """The AUC of `predictions.score`, as the share of pairs in the right order (Mann-Whitney), ties half."""
    if len(split.members) == 1:
        ranked = [logits[:, 1] - logits[:, 0]]
    else:
        ranked = list(lead_over_rest(logits).unbind(dim=1))
    shares = [_share_won(scores, *members) for scores, members in zip(ranked, split.members, strict=True)]
    return torch.stack(shares).mean()


def _share_won(scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    rivals, own = scores[negative].sort().values, scores[positive]
    won_twice = torch.searchsorted(rivals, own) + torch.searchsorted(rivals, own, right=True)
    return won_twice.sum().double() / (2 * len(positive) * len(negative))
