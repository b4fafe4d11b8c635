"""The steps and the judging of all seeds recorded as CUDA graphs: two batch sizes are two graphs.

A graph of one step serves every epoch, because the order of the images and the place in it lie on the
device. On any other device the same work runs unrecorded, which is how it is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from activmask.runs.seeds import derived_seed
from activmask.training.graphs.capture import MOST_AHEAD, Recorder, capturable, new_recorder, on, recorded
from activmask.training.replicas.epoch import order_of
from activmask.training.stacks.device_step import take_step
from activmask.training.stacks.group import Group
from activmask.training.stacks.judging import judge


@dataclass(kw_only=True)
class StackedEpoch:
    """An epoch of all seeds, ready to be launched."""

    group: Group
    recorder: Recorder
    steps: dict[int, Callable[[], None]]
    """By the number of images."""
    judge: Callable[[], None]
    values: Tensor
    """float32 (MOST_AHEAD, S, R, 1 + T), each launched epoch's."""
    verdicts: Tensor
    """float64 (MOST_AHEAD, R, numbers of a verdict)."""
    launched: int = 0
    """Epochs launched whose results have not been read."""


def unrecorded(group: Group) -> StackedEpoch:
    """An epoch that is launched operation by operation, as the first is: it loads the kernels."""
    sizes = sorted(set(group.replicas[0].batch_sizes))
    return StackedEpoch(
        group=group,
        recorder=Recorder(generators=group.generators, stream=None, pool=None),
        steps={size: partial(take_step, group, size) for size in sizes},
        judge=partial(judge, group),
        values=group.values.new_zeros(MOST_AHEAD, *group.values.shape),
        verdicts=group.verdicts.new_zeros(MOST_AHEAD, *group.verdicts.shape),
    )


def record_stacked(group: Group) -> StackedEpoch:
    """Record the group's steps and judging; changes nothing about its replicas if that fails.

    Args:
        group: has trained for an epoch, so that kernels are loaded and its optimizers have a state.

    Raises:
        RuntimeError: CUDA cannot capture what a step does, or its memory is full.
    """
    plain = unrecorded(group)
    recorder = new_recorder(*group.generators)
    with capturable(group.replicas):
        steps = {size: recorded(step, recorder) for size, step in plain.steps.items()}
        judging = recorded(plain.judge, recorder)
    if recorder.stream is not None:
        # What was made here was queued elsewhere, and this stream waits for no other by itself.
        recorder.stream.wait_stream(torch.cuda.current_stream(group.order.device))
    plain.recorder, plain.steps, plain.judge = recorder, steps, judging
    return plain


def launch(epoch: StackedEpoch) -> None:
    """Queue one more epoch of all seeds; returns before the device has done it."""
    group = epoch.group
    order = torch.stack([_order(group, seed, epoch.launched) for seed in range(len(group.replicas))])
    for replica, generator in zip(group.replicas, group.generators, strict=True):
        generator.manual_seed(derived_seed(replica.seed, "step", replica.next_epoch + epoch.launched))
    if epoch.recorder.stream is not None:
        order = order.pin_memory()
    with on(epoch.recorder.stream):
        group.order.copy_(order, non_blocking=True)
        torch.arange(len(group.places), out=group.places)
        group.step.zero_()
        for size in group.replicas[0].batch_sizes:
            epoch.steps[size]()
        epoch.judge()
        epoch.values[epoch.launched].copy_(group.values)
        epoch.verdicts[epoch.launched].copy_(group.verdicts)
    epoch.launched += 1


def _order(group: Group, seed: int, ahead: int) -> Tensor:
    """A seed's training images in the order of an epoch, counted among those of all."""
    replica = group.replicas[seed]
    return order_of(replica, replica.next_epoch + ahead) + seed * group.order.shape[1]
