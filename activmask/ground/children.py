"""Processes that this one starts for its work, none of which outlives it.

A child sees its parent go by the end of a pipe that the system closes, however the parent ended, and
on every system. The kernel's own notice (PR_SET_PDEATHSIG) is Linux's alone, is about the thread that
started the child, and reaches a child that a server forked when the server goes.
"""

import os
import sys
from multiprocessing import active_children, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize, get_temp_dir
from threading import Thread
from typing import Any

from activmask.ground.interrupts import children_deaf_to_interrupts


def end_with_parent() -> None:
    """Have this process leave as soon as the one that asked for it is gone."""
    Thread(target=_leave_after_parent, daemon=True).start()


def _leave_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def end_children() -> None:
    """Kill every child that Python would wait for at the end, whatever they are computing.

    It does not wait for daemons. They end when the library that started them says so, and at the latest
    just before this process: killed earlier, they could hold a lock for ever that it has to take, or owe
    an answer to one of its threads.
    """
    for child in active_children():
        if isinstance(child, _Child) and not child.daemon:
            child.kill()


_BEFORE_SEMAPHORES = 1
"""Theirs is 0, and that of the temporary folder is below."""


def _end(handle: Any) -> None:
    handle.kill()
    handle.wait()


class _Child(BaseProcess):
    """Ends with its parent, and leaves to it what Ctrl-C and SIGTERM mean."""

    _popen: Any
    """What `multiprocessing` holds a started process by."""

    def __init__(self, *described: Any, **more: Any) -> None:
        # A temporary folder of its own would stay behind when it is killed: it shares this process's.
        get_temp_dir()
        super().__init__(*described, **more)

    def start(self) -> None:
        with children_deaf_to_interrupts():
            super().start()
            # At this process's end its semaphores go first, in Python's order, and a child that is only
            # beginning would miss them; what is of a higher priority goes before them.
            Finalize(self, _end, args=(self._popen,), exitpriority=_BEFORE_SEMAPHORES)

    def run(self) -> None:
        end_with_parent()
        super().run()


if sys.platform == "win32":

    class SpawnedChild(_Child, SpawnProcess):
        """A process that begins as a new program."""

    ForkedChild = SpawnedChild
    _Server = SpawnContext
else:
    from multiprocessing.context import ForkServerContext as _Server
    from multiprocessing.context import ForkServerProcess
    from multiprocessing.popen_forkserver import Popen as ForkServerHandle
    from multiprocessing.popen_spawn_posix import Popen as SpawnHandle

    class _KilledSpawn(SpawnHandle):
        def terminate(self) -> None:
            """What is deaf to SIGTERM is not ended by it."""
            self.kill()

    class _KilledFork(ForkServerHandle):
        def terminate(self) -> None:
            """What is deaf to SIGTERM is not ended by it."""
            self.kill()

    class SpawnedChild(_Child, SpawnProcess):
        """A process that begins as a new program."""

        @staticmethod
        def _Popen(process: BaseProcess) -> _KilledSpawn:  # noqa: N802 - the name that multiprocessing calls
            return _KilledSpawn(process)

    class ForkedChild(_Child, ForkServerProcess):
        """A process that a server forks."""

        @staticmethod
        def _Popen(process: BaseProcess) -> _KilledFork:  # noqa: N802 - likewise
            return _KilledFork(process)


class Spawned(SpawnContext):
    """Children that begin as new programs."""

    Process = SpawnedChild


class Forked(_Server):
    """Children forked by a server that has imported once what all of them need and runs no threads.

    On Windows, which cannot fork, they begin as new programs.
    """

    Process = ForkedChild
