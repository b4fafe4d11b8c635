"""What carries the marker `process`: tests that start a process, or keep this one busy for a second.

Those of a CUDA device carry `cuda` instead: Triton asks the system for its libraries at its first launch.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from typing import Any
from unittest.mock import patch

import pytest

MARKER = "process"
_EXEMPT = {MARKER, "cuda"}
STARTERS = ((subprocess.Popen, "__init__"), (BaseProcess, "start"), (os, "fork"), (os, "posix_spawn"))
"""What every way of Python to start a process goes through; the tracker of shared memory counts as none."""
SECONDS = 5.0
"""Of CPU time, which other programs on the machine hardly change, that a test may take without the marker."""
_TAKEN = "cpu seconds"


def refused(start: Callable[..., Any]) -> Callable[..., Any]:
    """That start, which fails the test; but what a library starts as it is imported is no test's.

    Which test imports it first is chance: torch asks `ldconfig`, and matplotlib on a new machine `fc-list`.
    """

    def refuse(*given: Any, **more: Any) -> Any:
        if _imports():
            return start(*given, **more)
        pytest.fail(
            f"this test starts a process; mark it with @pytest.mark.{MARKER}, or call the command line in "
            "this process by in_process.told"
        )

    return refuse


def _imports() -> bool:
    frame = sys._getframe()
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


@contextmanager
def only_where_marked(item: pytest.Item) -> Iterator[None]:
    """Fail a test without the marker, or a fixture made for it, as soon as it starts a process."""
    with ExitStack() as refusals:
        if not any(map(item.get_closest_marker, _EXEMPT)):
            for place, name in STARTERS:
                refusals.enter_context(patch.object(place, name, refused(getattr(place, name))))
        yield


@contextmanager
def clocked(item: pytest.Item) -> Iterator[None]:
    """Leave the CPU seconds of a test in its report."""
    begun = time.process_time()
    try:
        yield
    finally:
        item.user_properties.append((_TAKEN, time.process_time() - begun))


def too_long(reports: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each test without the marker that took longer than such a test may."""
    taken = {
        report.nodeid: dict(report.user_properties).get(_TAKEN, 0.0)
        for report in reports
        if _EXEMPT.isdisjoint(report.keywords)
    }
    return [
        f"{seconds:.0f} s of CPU time without the marker {MARKER}: {name}"
        for name, seconds in taken.items()
        if seconds > SECONDS
    ]
