"""Run a grid: start what is missing, try a failed cell again once, go on with the others."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Literal

from activmask.experiments.jobs import Engine, Job, is_finished
from activmask.ground.refusals import make_folder
from activmask.runs.claimed import claimed_sweep

Status = Literal["queued", "running", "done", "failed"]
ATTEMPTS = 2
"""How often a cell may fail before it is given up."""

_TICK = 1.0
"""Seconds between two looks at what runs."""


@dataclass(kw_only=True)
class CellState:
    """Where one cell of a running sweep stands."""

    job: Job
    status: Status = "queued"
    found: bool = False
    """Whether it was done before this sweep."""
    failures: int = 0
    error: str = ""
    """Of its latest failure."""


Watch = Callable[[Sequence[CellState]], None]


def run_sweep(jobs: Sequence[Job], engine: Engine, watch: Watch) -> list[CellState]:
    """Run every job that is not finished yet.

    Args:
        jobs: to run, in this order as far as the engine has room.
        engine: where; it is closed at the end, and on any exception, Ctrl-C too.
        watch: is shown all cells after every change and about once a second.

    Returns:
        The cells, each done or failed.

    Raises:
        InUse: another process sweeps into the same folder.
        DataError: their folder cannot be made.
    """
    with ExitStack() as claims, closing(engine):
        for place in dict.fromkeys(job.folder.parent for job in jobs):
            claims.enter_context(claimed_sweep(place, [job.folder.name for job in jobs]))
            make_folder(place)
        return _run_all(jobs, engine, watch)


def _run_all(jobs: Sequence[Job], engine: Engine, watch: Watch) -> list[CellState]:
    states = {job.name: CellState(job=job) for job in jobs}
    for state in states.values():
        if is_finished(state.job):
            state.status, state.found = "done", True
    waiting = deque(state for state in states.values() if state.status == "queued")
    cells = list(states.values())
    watch(cells)
    while any(state.status in {"queued", "running"} for state in cells):
        _start(waiting, cells, engine)
        watch(cells)
        ended = engine.ended(_TICK)
        for one in ended:
            _note(states[one.name], one.error, waiting)
        if ended:
            watch(cells)
    return cells


def _start(waiting: deque[CellState], cells: Sequence[CellState], engine: Engine) -> None:
    running = sum(state.status == "running" for state in cells)
    while waiting and running < engine.slots:
        state = waiting.popleft()
        state.status = "running"
        engine.start(state.job)
        running += 1


def _note(state: CellState, error: str, waiting: deque[CellState]) -> None:
    state.error = error
    if not error:
        state.status = "done"
        return
    state.failures += 1
    if state.failures < ATTEMPTS:
        state.status = "queued"
        waiting.append(state)
    else:
        state.status = "failed"
