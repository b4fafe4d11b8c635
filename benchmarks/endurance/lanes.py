"""Lanes: processes forked from this one, warm with all its imports, which do one case after another."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import NoReturn

from benchmarks.endurance.outcome import Case, Outcome

Work = Callable[[Case], Outcome]


class LaneLost(Exception):
    """A lane ended although nobody told it to: a defect of this benchmark."""


@dataclass(frozen=True)
class Lane:
    """A process that does cases, and the way to it."""

    pid: int
    connection: Connection


def on_lanes(work: Work, cases: Iterator[Case], lanes: int, until: float) -> Iterator[Outcome]:
    """Do cases side by side until a moment; gives the outcomes as they come.

    Args:
        work: one case.
        cases: without end, or few.
        lanes: processes.
        until: on the monotonic clock; no case begins after it, and those that have begun end.

    Raises:
        LaneLost: `work` raised an exception, which was printed, or its process died.
    """
    crew = [_lane(work) for _ in range(lanes)]
    busy: dict[Connection, Lane] = {}
    try:
        for lane in crew:
            _next(lane, cases, until, busy)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                lane = busy.pop(ready)
                try:
                    outcome: Outcome = ready.recv()
                except EOFError as error:
                    raise LaneLost(f"the lane {lane.pid} ended") from error
                _next(lane, cases, until, busy)
                yield outcome
    finally:
        for lane in crew:
            _close(lane)


def _next(lane: Lane, cases: Iterator[Case], until: float, busy: dict[Connection, Lane]) -> None:
    case = next(cases, None) if time.monotonic() < until else None
    if case is not None:
        lane.connection.send(case)
        busy[lane.connection] = lane


def _lane(work: Work) -> Lane:
    ours, theirs = Pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _serve(work, theirs)
    theirs.close()
    return Lane(pid, ours)


def _serve(work: Work, connection: Connection) -> NoReturn:
    """Do what comes until nothing more does; never returns into the parent's frames."""
    # Ctrl-C is for the parent to understand, which then ends this lane and what runs on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, BrokenPipeError, SystemExit):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - told, and the parent hears that this lane is gone
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _close(lane: Lane) -> None:
    lane.connection.close()
    with suppress(ProcessLookupError):
        os.kill(lane.pid, signal.SIGTERM)
    os.waitpid(lane.pid, 0)
