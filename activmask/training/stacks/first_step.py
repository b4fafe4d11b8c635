"""Whether a step of all seeds at once comes to what each seed's own comes to, on this very device.

`models.stacked.trial` compares two networks in float64. Here all of them are compared in the run's own
precision and by the device's own kernels, so that a kernel that is wrong on some device ends no
training in wrong numbers.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from activmask.data.samples import Samples
from activmask.kernels.ahead import compiled_ahead
from activmask.machine.device import cores
from activmask.models.stacked.alone import alone
from activmask.models.stacked.network import gradients, mode
from activmask.runs.description import Precision
from activmask.runs.seeds import derived_seed
from activmask.training.replicas.epoch import forward_step
from activmask.training.replicas.replica import Replica
from activmask.training.stacks.device_step import forward
from activmask.training.stacks.group import Group
from activmask.training.stacks.judging import logits_of
from activmask.training.stacks.optimizer import take_laid_step

MOST_APART: dict[Precision, float] = {"fp32": 0.02, "tf32": 0.5, "bf16": 0.5}
"""By which share of its length a parameter's gradient, or a running statistic, may differ: sums in another
order are rounded otherwise, and a seed that reads another's numbers differs by all of its length. On an H200
the gradients of a CNN with gradmask, which are differences of second derivatives, differed by 3e-6 in fp32
and by up to 0.24 in tf32."""

_LEAST = 0.02
"""Gradients shorter than this share of the longest are held to it: they are small differences."""


def compile_kernels(group: Group) -> None:
    """Have the kernels of all steps, of the judging and of `why_another_step` compiled, at once.

    Nothing else comes of it but that generators have drawn. For that the passes are run in the forms
    that need no compiling.
    """
    count = len(group.replicas[0].train)
    rows = torch.arange(len(group.replicas), device=group.order.device)[:, None] * count
    # Whatever fails in another form than training's is no reason not to train.
    with _restored(group), suppress(RuntimeError), compiled_ahead(cores()):
        for size in sorted(set(group.replicas[0].batch_sizes)):
            with mode(group.stacked, training=True):
                passed = forward(group, rows + torch.arange(size, device=rows.device))
            gradients(group.stacked, passed.losses, passed.passes)
        take_laid_step(group.moments, group.stacked, group.replicas, group.stopped)
        for split in group.splits.values():
            logits_of(group, split)
        # Of a seed alone kernels are others, and every seed's are the same.
        _alone(group.replicas[0], group.replicas[0].batch_sizes[0], group.generators[0])


def why_another_step(group: Group) -> str:
    """A clause that says in what the first step of all seeds differs from theirs; empty where it does not.

    Nothing is changed by it.
    """
    size = group.replicas[0].batch_sizes[0]
    count = len(group.replicas[0].train)
    device = group.order.device
    rows = torch.arange(len(group.replicas), device=device)[:, None] * count
    picked = rows + torch.arange(size, device=device)
    most = MOST_APART[group.replicas[0].config.training.precision]
    with _restored(group):
        _draw_anew(group)
        with mode(group.stacked, training=True):
            passed = forward(group, picked)
        together = gradients(group.stacked, passed.losses, passed.passes)
        moved = _statistics(group)
    for seed, replica in enumerate(group.replicas):
        with _restored(group):
            loss, own = _alone(replica, size, group.generators[seed])
            moved_alone = _statistics(group)[seed]
        parts = {
            name: group.stacked.layout.of_seed(name, gradient, seed) for name, gradient in together.items()
        }
        apart = max(
            _apart(own, parts),
            _apart(moved_alone, moved[seed]),
            _share(passed.losses[seed].detach(), loss),
        )
        if not apart <= most:
            return f"the first step of seed {replica.seed} comes to something else ({apart:.0%} apart)"
    return ""


def _draw_anew(group: Group) -> None:
    for replica, generator in zip(group.replicas, group.generators, strict=True):
        generator.manual_seed(derived_seed(replica.seed, "step", replica.next_epoch))


@contextmanager
def _restored(group: Group) -> Iterator[None]:
    """Undo what passes change: running statistics, and their counts."""
    statistics, batches = group.stacked.statistics.clone(), group.stacked.batches.clone()
    try:
        yield
    finally:
        group.stacked.statistics.copy_(statistics)
        group.stacked.batches.copy_(batches)


def _statistics(group: Group) -> list[dict[str, Tensor]]:
    """Each seed's running statistics as they are now, by name."""
    return group.stacked.statistics_layout.by_seed(group.stacked.statistics.clone())


def _alone(replica: Replica, size: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """One seed's own first step: its loss, and its gradients by name."""
    generator.manual_seed(derived_seed(replica.seed, "step", replica.next_epoch))
    train = replica.train
    assert isinstance(train, Samples)
    replica.model.train()
    names = [name for name, _ in replica.model.named_parameters()]
    with alone(replica.model):
        images, masks, labels = (part[:size] for part in (train.images, train.masks, train.labels))
        passed = forward_step(replica, images, masks, labels, generator)
        found = torch.autograd.grad(passed.loss, list(replica.model.parameters()), allow_unused=True)
    given = {name: own for name, own in zip(names, found, strict=True) if own is not None}
    return passed.loss.detach(), given


def _apart(alone: dict[str, Tensor], stacked: dict[str, Tensor]) -> float:
    if alone.keys() != stacked.keys():
        return math.inf
    if not alone:
        return 0.0
    # One reading: a device that is read from waits each time.
    lengths, apart = torch.stack(
        [
            torch.stack([own.norm() for own in alone.values()]),
            torch.stack([(own - stacked[name]).norm() for name, own in alone.items()]),
        ]
    ).tolist()
    floor = max(_LEAST * max(lengths), 1e-30)
    shares = [distance / max(length, floor) for length, distance in zip(lengths, apart, strict=True)]
    return math.inf if any(math.isnan(share) for share in shares) else max(shares)


def _share(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs() / other.abs().clamp_min(1e-30))
