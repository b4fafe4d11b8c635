"""Epochs recorded once as CUDA graphs and only replayed after that.

Each replica has a stream and graphs of its own, so that the device overlaps the replicas while no
number of one depends on another. The host launches some epochs of all of them ahead, then reads
what they came to. On any other device the same work runs unrecorded, which is how it is tested.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from activmask.data.multi_label import is_multi_label
from activmask.data.samples import Samples
from activmask.data.settings import augmentations
from activmask.kernels.torch_private import can_be_stopped
from activmask.models import find_model
from activmask.objectives.chosen import discriminator_of
from activmask.runs.seeds import derived_generator, derived_seed
from activmask.training.graphs.device_epoch import (
    Segment,
    judge_epoch,
    judged,
    new_health,
    new_segment,
    optimizers,
    take_steps,
)
from activmask.training.graphs.epoch_verdict import new_verdict
from activmask.training.replicas.epoch import judged_splits, order_of, rates_of
from activmask.training.replicas.replica import Replica

SEGMENT_STEPS = 32
"""Steps in one graph: a graph of thousands of nodes takes long to make and memory to keep."""

MOST_AHEAD = 64
"""Epochs launched before results are read."""


@dataclass(kw_only=True)
class Recording:
    """One replica's epoch, ready to be launched."""

    replica: Replica
    stream: torch.cuda.Stream | None
    """On CUDA, where it runs."""
    generator: torch.Generator
    segments: list[tuple[Segment, Callable[[], None]]]
    """In order; a segment may occur more than once."""
    judge: Callable[[], None]
    verdict: Tensor
    """What the last epoch came to, see `device_epoch.judge_epoch`."""
    results: Tensor
    """float64 (MOST_AHEAD, numbers of an epoch): each launched epoch's values and verdict."""
    launched: int = 0
    """Epochs launched whose results have not been read."""


def why_not_recorded(replicas: Sequence[Replica]) -> str:
    """A clause that says why these replicas cannot be recorded; empty where they can."""
    first = replicas[0]
    if first.device.type != "cuda":
        return "only CUDA devices record"
    if first.world.size > 1:
        return "several processes train together"
    valid = first.splits["valid"]
    if not isinstance(valid, Samples):
        return "the data set streams from disk"
    if clause := _unrecordable(first):
        return clause
    if draws_at_random(first.model, valid.images[:2]):
        return "the network draws random numbers itself, as dropout does"
    return ""


def _unrecordable(replica: Replica) -> str:
    return next(_obstacles(replica), "")


def _obstacles(replica: Replica) -> Iterator[str]:
    config = replica.config
    if is_multi_label(replica.train.labels):
        yield "images have several labels"
    if find_model(config.network.model).foreign:
        yield "the network's code is not this program's, and might do what no recording shows"
    if replica.other is not None:
        yield "the best epochs of two validation splits are kept"
    if replica.selected_among:
        yield "the worst group of validation images is found on the host"
    if config.network.freeze:
        yield "some weights are frozen"
    if config.machine.compile:
        yield "the network's passes are compiled"
    if augmentations(config.view):
        yield f"augment {config.view.augment} is drawn on the host"
    if not all(can_be_stopped(optimizer) for optimizer in optimizers(replica)):
        yield "this version of torch has no optimizer that its device can stop"
    if (found := discriminator_of(config.objectives)) and found[0].takes_turns(found[1]):
        yield "the discriminator takes steps of its own"


def draws_at_random(model: nn.Module, images: Tensor) -> bool:
    """Whether a pass over images (2, C, H, W) in training mode uses torch's global generator.

    Replicas would have to share it.
    """
    trial = deepcopy(model).cpu().train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        trial(images)
        return not torch.equal(before, torch.get_rng_state())


def record(replica: Replica) -> Recording:
    """Record a replica's epoch; changes nothing about the replica if that fails.

    Args:
        replica: has trained for an epoch, so that kernels are loaded and its optimizer has a state.

    Raises:
        RuntimeError: CUDA cannot capture what the epoch does, or its memory is full.
    """
    device = replica.device
    generator = derived_generator(replica.seed, "step", 0, device)
    recorder = new_recorder(generator)
    health = new_health(replica)
    kinds: dict[tuple[int, ...], tuple[Segment, Callable[[], None]]] = {}
    plan = list(_segment_sizes(replica.batch_sizes))
    splits = {name: judged(replica, name) for name in judged_splits(replica.config.training)}
    verdict = new_verdict(len(splits), device)
    with capturable([replica]):
        for sizes in plan:
            if sizes not in kinds:
                segment = new_segment(replica, sizes)
                steps = partial(take_steps, replica, segment, health, generator)
                kinds[sizes] = segment, recorded(steps, recorder)
        judge = recorded(partial(judge_epoch, replica, splits, health, verdict), recorder)
    segments = [kinds[sizes] for sizes in plan]
    numbers = sum(segment.values.numel() for segment, _ in segments) + len(verdict)
    results = torch.zeros(MOST_AHEAD, numbers, dtype=torch.float64, device=device)
    if recorder.stream is not None:
        # What was made here was queued elsewhere, and this stream waits for no other by itself.
        recorder.stream.wait_stream(torch.cuda.current_stream(device))
    return Recording(
        replica=replica,
        stream=recorder.stream,
        generator=generator,
        segments=segments,
        judge=judge,
        verdict=verdict,
        results=results,
    )


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """What some graphs have in common: they never run at the same time."""

    generators: tuple[torch.Generator, ...]
    stream: torch.cuda.Stream | None
    pool: Any
    """Of the memory that they take turns in, on CUDA."""


def new_recorder(*generators: torch.Generator) -> Recorder:
    """For graphs that draw from these generators, on their device."""
    device = generators[0].device
    if device.type != "cuda":
        return Recorder(generators=generators, stream=None, pool=None)
    stream = torch.cuda.Stream(device)
    return Recorder(generators=generators, stream=stream, pool=torch.cuda.graph_pool_handle())


@contextmanager
def capturable(replicas: Sequence[Replica]) -> Iterator[None]:
    """Allow the optimizers to be captured, which they complain of where they are not."""
    if replicas[0].device.type != "cuda":
        yield
        return
    both = [optimizer for replica in replicas for optimizer in optimizers(replica)]
    groups = [group for optimizer in both for group in optimizer.param_groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    except BaseException:
        for group in groups:
            group["capturable"] = False
        raise


def _segment_sizes(sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The batch sizes of an epoch's steps, cut into segments."""
    for first in range(0, len(sizes), SEGMENT_STEPS):
        yield sizes[first : first + SEGMENT_STEPS]


def recorded(work: Callable[[], None], recorder: Recorder) -> Callable[[], None]:
    """What does the work when it is called: the replay of a graph on CUDA, elsewhere the work itself."""
    if recorder.stream is None:
        return work
    graph = torch.cuda.CUDAGraph()
    with warnings.catch_warnings():
        # Newer versions of torch find the generator themselves, and say that this is not needed.
        warnings.simplefilter("ignore")
        for generator in recorder.generators:
            graph.register_generator_state(generator)
    # Its own context leaves the stream current when a capture fails.
    with on(recorder.stream), torch.cuda.graph(graph, pool=recorder.pool, stream=recorder.stream):
        work()
    return partial(_replay, graph, work)


def _replay(graph: torch.cuda.CUDAGraph, work: Callable[[], None]) -> None:  # noqa: ARG001 - owns what the graph reads
    graph.replay()


def on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """Have the device's work queued on a stream, where there is one."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def launch(recording: Recording) -> None:
    """Queue one more epoch; returns before the device has done it."""
    replica = recording.replica
    epoch = replica.next_epoch + recording.launched
    order, rates = order_of(replica, epoch), torch.tensor(rates_of(replica, epoch))
    result = recording.results[recording.launched]
    recording.generator.manual_seed(derived_seed(replica.seed, "step", epoch))
    if recording.stream is not None:
        order, rates = order.pin_memory(), rates.pin_memory()
    with on(recording.stream):
        waiting, next_rates = (part.to(replica.device, non_blocking=True) for part in (order, rates))
        for segment, run in recording.segments:
            picked, waiting = waiting.tensor_split([len(segment.picked)])
            segment.picked.copy_(picked)
            if segment.rates is not None:
                own, next_rates = next_rates.tensor_split([len(segment.rates)])
                segment.rates.copy_(own)
            run()
            values, result = result.tensor_split([segment.values.numel()])
            values.copy_(segment.values.flatten())
        recording.judge()
        result.copy_(recording.verdict)
    recording.launched += 1


def values_and_verdict(recording: Recording, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """One row of `results` as `launch` wrote it: each step's values (S, 1 + T), and the verdict."""
    steps = sum(len(segment.sizes) for segment, _ in recording.segments)
    verdict = len(recording.verdict)
    values, of_epoch = numbers.split([len(numbers) - verdict, verdict])
    return values.view(steps, -1), of_epoch
