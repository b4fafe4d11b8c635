"""Two forms of one computation on a device: whether they agree, and which of them is quicker."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDS = 3
CALLS = 5
FOR_EVER = 1e9
"""Microseconds."""
_BUSY = 2**26
"""Numbers that a pass goes over: some 0.1 ms, in any precision of products, which autocast may narrow."""
MOST_PASSES = 64
"""A call that waits for the device is never queued in time, however long that is busy before."""

Results = Tensor | tuple[Tensor, ...]
Timer = Callable[[Callable[[], Results]], float]


@dataclass(frozen=True)
class Trial:
    """What a trial came to."""

    ours: float
    """Microseconds a call."""
    theirs: float


class Refused(Exception):
    """Ours cannot be used here; says why in a clause."""


def tried(
    ours: Callable[[], Results], theirs: Callable[[], Results], tolerance: float, timer: Timer | None = None
) -> Trial:
    """Run both, compare what they compute, and take their times.

    Where theirs is refused, it is compared with as torch computes it without cuDNN, and takes for ever.

    Args:
        ours: our form.
        theirs: the form that counts as right.
        tolerance: of the norm of the difference, over the norm of what is right.
        timer: microseconds of one call.

    Raises:
        Refused: ours raised an error, or computes something else.
    """
    timer = timer or microseconds
    right, refused = _right(theirs)
    try:
        found = _several(ours())
        if found[0].is_cuda:
            torch.cuda.synchronize(found[0].device)
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise Refused(f"{type(error).__name__}: {words}" if words else type(error).__name__) from error
    for own, expected in zip(found, right, strict=True):
        distance = float((own.float() - expected.float()).norm()) / max(float(expected.float().norm()), 1e-30)
        if not distance <= tolerance:
            raise Refused(f"its result differs from the library's by {distance:.1g} of that one's norm")
    return Trial(timer(ours), FOR_EVER if refused else timer(theirs))


def _several(found: Results) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else found


def _right(theirs: Callable[[], Results]) -> tuple[tuple[Tensor, ...], bool]:
    """What theirs computes, and whether cuDNN refuses it."""
    try:
        return _several(theirs()), False
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        with torch.backends.cudnn.flags(enabled=False):
            return _several(theirs()), True


def microseconds(call: Callable[[], Results]) -> float:
    """The median time that a CUDA device takes for a call.

    The device is kept busy while the calls are queued, since queueing takes longer than small shapes
    do, and replayed graphs do not queue.
    """
    block = torch.empty(_BUSY, device="cuda")
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def timed(passes: int) -> tuple[float, bool]:
        for _ in range(passes):
            block.neg_()
        begin.record()
        for _ in range(CALLS):
            call()
        end.record()
        in_time = not begin.query()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1000 / CALLS, in_time

    call()
    return median_of(timed)


def median_of(timed: Callable[[int], tuple[float, bool]]) -> float:
    """The median of some rounds, kept waiting no longer than it takes to queue them.

    Args:
        timed: the time of a round that waits for so many passes over a block, and whether all of it was
            queued before it began. One that was not has waited for the host, and does not count.
    """
    passes, taken = 1, list[float]()
    while len(taken) < ROUNDS:
        time, in_time = timed(passes)
        if in_time or passes == MOST_PASSES:
            taken.append(time)
        else:
            passes *= 2
    return statistics.median(taken)
