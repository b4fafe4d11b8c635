"""Who trains against whom: the package, the released loop and the tidy eager one, on the same files."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from activmask.data.settings import IN_MEMORY
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.machine.device import set_up_arithmetic
from activmask.runs.checkpoint import snapshot
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config
from activmask.training.graphs.capture import record, why_not_recorded
from activmask.training.graphs.replay import collect, run_ahead
from activmask.training.replicas.epoch import epoch_row, train_epoch
from activmask.training.replicas.replica import Replica, new_replica
from activmask.training.replicas.watcher import Silent
from activmask.training.stacks.capture import StackedEpoch, launch, record_stacked, unrecorded
from activmask.training.stacks.first_step import compile_kernels, why_another_step
from activmask.training.stacks.group import new_group, why_not_grouped
from activmask.training.stacks.train import collect as stacked_collect
from activmask.training.stacks.train import stacks_on, wait_for
from benchmarks.figure import Effort
from benchmarks.floors import copy_work, epoch_flops, matrix_work, network
from benchmarks.good_eager import good_epoch, new_good_eager
from benchmarks.paper_loop import new_paper_loop, paper_epoch
from benchmarks.side_by_side import Contestant, clocked

OURS, EAGER = "activmask", "a tidy eager loop"
RELEASED, RELEASED_NO_GC = "the released loop", "the released loop without its garbage collection"
MATRIX, COPY = "matrix product", "copy"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is trained, on how many images."""

    settings: dict[str, Any]
    """Of the run, as `make_config` takes them."""
    train: int = 500
    """Training images per epoch."""
    held_out: int = 128
    """Validation images, and as many test images."""
    side: int = 28
    """Of the images in px."""


AHEAD = 8
"""Epochs that are launched before their results are read, where epochs are recorded."""

QUICK = Workload(settings={"width": 2, "batch_size": 4}, train=8, held_out=4, side=16)
"""Just enough to see the code run."""


def shrunk(task: Workload, effort: Effort) -> Workload:
    """The task as it is, or a tiny form of it where only the code is tried."""
    if not effort.quick:
        return task
    return Workload(
        settings=task.settings | QUICK.settings, train=QUICK.train, held_out=QUICK.held_out, side=QUICK.side
    )


def usable_precision(precision: str, device: torch.device) -> str:
    """tf32 exists on CUDA alone; a trial elsewhere takes fp32 and its figure says so."""
    return "fp32" if precision == "tf32" and device.type != "cuda" else precision


@contextmanager
def data_of(task: Workload) -> Iterator[RunConfig]:
    """Write the task's images to a folder that goes away, and describe the run on them."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "crosses"
        spec = SyntheticSpec(n=task.train, valid=task.held_out, test=task.held_out, size=task.side)
        make_synthetic(spec, folder)
        yield make_config(data=str(folder), **task.settings)


@contextmanager
def own_data(effort: Effort) -> Iterator[dict[str, Any]]:
    """Settings under which each seed draws its own benchmark; in a trial, of a tiny run on disk."""
    if not effort.quick:
        yield {"data": IN_MEMORY}
        return
    with data_of(QUICK) as config:
        yield {"data": config.source.data, **QUICK.settings}


def ours(config: RunConfig, effort: Effort, replicas: int = 1) -> Contestant:
    """Images a second of whole epochs of so many seeds, as `train` runs and scores them."""
    own = _replicas(config, effort, replicas)
    work = _step_by_step(own) if why_not_recorded(own) else _stacked(own) or _replayed(own)

    def epochs() -> float:
        set_up_arithmetic(effort.device, precision=config.training.precision)
        return work()

    return clocked(epochs, effort.device)


def _step_by_step(replicas: list[Replica]) -> Callable[[], float]:
    return lambda: float(sum(_our_epoch(replica) for replica in replicas))


def _stacked(replicas: list[Replica]) -> Callable[[], float] | None:
    """As on CUDA where seeds can be one network: likewise; None where they cannot."""
    if len(replicas) == 1 or not stacks_on(replicas[0].device) or why_not_grouped(replicas):
        return None
    group = new_group(replicas)
    try:
        compile_kernels(group)
        if why_another_step(group):
            return None
        first = unrecorded(group)
        _launched(first, 1)
        recording = record_stacked(group)
    except RuntimeError:
        return None

    def work() -> float:
        _launched(recording, AHEAD)
        return float(AHEAD * sum(len(replica.train) for replica in replicas))

    return work


def _launched(epoch: StackedEpoch, count: int) -> None:
    for _ in range(count):
        launch(epoch)
    wait_for(epoch)
    stacked_collect(epoch, 1.0, Silent())


def _replayed(replicas: list[Replica]) -> Callable[[], float]:
    """As on CUDA: some epochs of all launched ahead, then read."""
    for replica in replicas:
        _our_epoch(replica)
        replica.best_weights = snapshot(replica.model)
    recordings = [record(replica) for replica in replicas]

    def work() -> float:
        run_ahead(recordings, AHEAD, sys.maxsize)
        for recording in recordings:
            collect(recording, 1.0, Silent())
        return float(AHEAD * sum(len(replica.train) for replica in replicas))

    return work


def _replicas(config: RunConfig, effort: Effort, count: int) -> list[Replica]:
    set_up_arithmetic(effort.device, precision=config.training.precision)
    return [new_replica(config, seed, Path("unused"), effort.device) for seed in range(count)]


def _our_epoch(replica: Replica) -> int:
    start = perf_counter()
    losses = train_epoch(replica, lambda _done, _total: None)
    replica.history.append(epoch_row(replica, losses, perf_counter() - start))
    replica.next_epoch += 1
    return len(replica.train)


def paper(config: RunConfig, effort: Effort, *, collect: bool = True) -> Contestant:
    """Images a second of the released loop, with the matrix precision torch starts with."""
    loop = new_paper_loop(config, effort.device, collect=collect)

    def epoch() -> float:
        if effort.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
        return float(paper_epoch(loop))

    return clocked(epoch, effort.device)


def eager(config: RunConfig, effort: Effort) -> Contestant:
    """Images a second of the tidy eager loop, in the same precision as ours."""
    run = new_good_eager(config, effort.device)
    return clocked(lambda: float(good_epoch(run)), effort.device)


def matrix_product(config: RunConfig, effort: Effort) -> Contestant:
    """FLOPs a second of large matrix products in the run's precision."""
    side, repeats = (256, 2) if effort.quick else (8192, 10) if effort.device.type == "cuda" else (2048, 4)
    dtype = torch.bfloat16 if config.training.precision == "bf16" else torch.float32
    work = matrix_work(effort.device, dtype, side, repeats)

    def products() -> float:
        set_up_arithmetic(effort.device, precision=config.training.precision)
        return work()

    return clocked(products, effort.device)


def device_copy(effort: Effort) -> Contestant:
    """Bytes a second of large copies within the device."""
    elements = 2**16 if effort.quick else 2**29 if effort.device.type == "cuda" else 2**26
    return clocked(copy_work(effort.device, elements, repeats=10), effort.device)


def flops_per_image(config: RunConfig, task: Workload) -> float:
    """FLOPs of a whole epoch, validation included, by training image."""
    layers = network(config, task.side)
    return epoch_flops(config, layers, task.train, task.held_out) / task.train
