"""Speeds measured side by side: contestants take turns, so that a busy moment hits them alike."""

from collections.abc import Callable
from time import perf_counter

import torch

from benchmarks.figure import Effort

Contestant = Callable[[], float]
"""Does its work once and returns its speed: images, FLOPs or bytes a second."""

Speeds = dict[str, tuple[float, ...]]
"""By contestant, one speed a round."""


def clocked(work: Callable[[], float], device: torch.device) -> Contestant:
    """A contestant from `work`, which returns how much it did; waits for the device to finish."""

    def run() -> float:
        _finish(device)
        start = perf_counter()
        amount = work()
        _finish(device)
        return amount / (perf_counter() - start)

    return run


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def race(
    contestants: dict[str, Contestant], effort: Effort, *, budget_s: float, warm_up: bool = True
) -> Speeds:
    """Let the contestants take turns; who begins moves on by one each round.

    Args:
        contestants: by name.
        effort: how many rounds at most; a trial of the code has one.
        budget_s: no round begins after so many seconds, but one is always run.
        warm_up: let each run once before anything counts; a trial of the code never does.
    """
    names = list(contestants)
    start = perf_counter()
    for name in names if warm_up and not effort.quick else ():
        contestants[name]()
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(1 if effort.quick else effort.rounds):
        if turn and perf_counter() - start > budget_s:
            break
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            speeds[name].append(contestants[name]())
    return {name: tuple(own) for name, own in speeds.items()}


def ratios(speeds: Speeds, ours: str, other: str) -> tuple[float, ...]:
    """The speed of `ours` over that of `other`, round by round."""
    return tuple(a / b for a, b in zip(speeds[ours], speeds[other], strict=True))


def pick(speeds: Speeds, *names: str) -> Speeds:
    """The speeds of some contestants, for a figure's record."""
    return {name: speeds[name] for name in names}
