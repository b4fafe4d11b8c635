"""Run a grid: start what is missing, try a failed cell again once, go on with the others.

A cell that begins with the run of another one waits until that is done, and is not run where that fails.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Literal

from activmask.experiments.jobs import Engine, Job, check_first_jobs, is_finished
from activmask.ground.refusals import make_folder
from activmask.runs.claimed import claimed_sweep

Status = Literal["queued", "running", "done", "failed", "not run"]
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
    """Of its latest failure, or why it is not run."""


Watch = Callable[[Sequence[CellState]], None]


def run_sweep(jobs: Sequence[Job], engine: Engine, watch: Watch) -> list[CellState]:
    """Run every job that is not finished yet.

    Args:
        jobs: to run, in this order as far as the engine has room and what they begin with is done.
        engine: where; it is closed at the end, and on any exception, Ctrl-C too.
        watch: is shown all cells after every change and about once a second.

    Returns:
        The cells, each done, failed or not run.

    Raises:
        UsageError: a job begins with a run that is not finished and that no job trains.
        InUse: another process sweeps into the same folder.
        DataError: their folder cannot be made.
    """
    with ExitStack() as claims, closing(engine):
        check_first_jobs(jobs)
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
        _start(waiting, states, engine)
        watch(cells)
        ended = engine.ended(_TICK)
        for one in ended:
            _note(states[one.name], one.error, waiting)
        if ended:
            _give_up(waiting, states)
            watch(cells)
    return cells


def _start(waiting: deque[CellState], states: Mapping[str, CellState], engine: Engine) -> None:
    running = sum(state.status == "running" for state in states.values())
    for state in [one for one in waiting if _first(one, states) in {None, "done"}]:
        if running >= engine.slots:
            return
        waiting.remove(state)
        state.status = "running"
        engine.start(state.job)
        running += 1


def _first(state: CellState, states: Mapping[str, CellState]) -> Status | None:
    """Where the cell stands with whose run a cell begins; None where nothing is to be waited for."""
    first = state.job.first
    return states[first.name].status if first and first.name in states else None


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


def _give_up(waiting: deque[CellState], states: Mapping[str, CellState]) -> None:
    """Leave what begins with a run that there will not be, and what begins with that."""
    while lost := [one for one in waiting if _first(one, states) in {"failed", "not run"}]:
        for state in lost:
            waiting.remove(state)
            first = state.job.first
            assert first is not None
            how = "failed" if _first(state, states) == "failed" else "was not run"
            state.status = "not run"
            state.error = f"it begins with the finished run of {first.title}, which {how}"
