"""Programs that are watched while they run: started anew, or forked from this process.

A forked one skips the seconds of its imports, which this process has done already, and runs the same
`main` from there on. Each has a session of its own, in which Linux tells who was left behind.
"""

import atexit
import multiprocessing.util
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

from activmask.ground.errors import DataError
from benchmarks.endurance.operations import Blow, Counted, count_operations
from benchmarks.endurance.sessions import command_line, end, members

SLOW = 120.0
"""Seconds that the quickest program may take before it counts as one that never ends."""
GRACE = 60.0
"""Seconds in which the children of a program that died have to notice."""
MEMORY = 4 * 2**30
"""Bytes that a program may take beyond those of its imports."""
TRACEBACK = "Traceback (most recent call last)"

_LOOK = 0.002
"""Seconds between two looks at a folder in which something is to appear."""
_STREAMED = (
    "import sys; from activmask.training.feed import stream; stream.RESIDENT_BYTES = 0; "
    "from activmask_cli.app import main; sys.argv[0] = 'activmask'; main()"
)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is to run."""

    arguments: tuple[str, ...]
    """Of `activmask`."""
    streamed: bool = False
    """Whether training leaves its images on disk, however few they are."""
    started: bool = False
    """Whether it is started as a user starts it."""
    capped: bool = False
    """Whether its memory is bounded."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended."""

    code: int | None
    """Its exit code, less than 0 for a signal; None if it never ended by itself."""
    stdout: str
    stderr: str
    seconds: float
    operations: int
    """File operations that its main process did in its folder; 0 if it was started."""
    struck: bool
    """Whether the blow found it alive."""
    where: str
    """When it was struck, as far as it is known."""
    orphans: tuple[str, ...] = ()
    """Command lines of processes that it left behind."""


class Running:
    """A program that runs in a folder."""

    def __init__(self, program: Program, folder: Path, blow: Blow | None = None) -> None:
        """Begin.

        Args:
            program: what runs.
            folder: with its working folder `work`; what it prints is written beside that.
            blow: what kills it.
        """
        self.program, self.blow = program, blow
        self.work = folder / "work"
        stem = f"{time.monotonic_ns()}"
        self._printed = [folder / f"{stem}.{name}" for name in ("out", "err")]
        self._temporary = folder / "tmp"
        self._temporary.mkdir(exist_ok=True)
        self.counted = Counted()
        self.begun = time.monotonic()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._become()
        self._descriptor = os.pidfd_open(self.pid)
        self._struck = False

    def _become(self) -> NoReturn:
        """Turn into the program; whatever goes wrong must not return into its parent."""
        try:
            os.setsid()
            _settle(self.work, self._temporary, self._printed)
            if self.program.started:
                _start(self.program)
            if self.program.capped:
                bound_memory()
            count_operations(self.work, self.counted, self.blow)
            os._exit(_main(self.program))
        except BaseException:  # noqa: BLE001 - it is told, and no frame of the parent may go on here
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def wait(self, limit: float = SLOW, *, orphans: bool = True) -> Ended:
        """Strike when it is time, and wait for the end.

        Args:
            limit: seconds after which it counts as one that never ends, and is killed.
            orphans: whether to wait for its children too.
        """
        try:
            if self.blow is not None and self.blow.operation is None:
                self._strike(self.blow, limit)
            code = self._code() if self._gone(self.begun + limit - time.monotonic()) else None
            seconds = time.monotonic() - self.begun
            left = end(self.pid, GRACE) if orphans and code is not None else ()
        except BaseException:
            self.stop()
            raise
        if code is None:
            self.stop()
        os.close(self._descriptor)
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in self._printed)
        return Ended(
            code=code,
            stdout=out,
            stderr=err,
            seconds=seconds,
            operations=self.counted.number,
            struck=self._struck or self.counted.struck,
            where=self.counted.latest,
            orphans=left,
        )

    def stop(self) -> None:
        """Kill it with all its children."""
        end(self.pid)
        with suppress(ChildProcessError):
            self._code()

    def _code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _gone(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _strike(self, blow: Blow, limit: float) -> None:
        before, last = _times(self.work), self.begun + limit
        while blow.once_seen and time.monotonic() < last and _times(self.work) == before:
            if self._gone(_LOOK):
                break
        if self._gone(blow.seconds):
            return
        self._struck = True
        # Python's own tracker of shared memory is no child that a kernel short of memory would choose.
        others = [pid for pid in members(self.pid) if pid != self.pid]
        children = [pid for pid in others if "resource_tracker" not in command_line(pid)]
        target = children[0] if blow.whom == "child" and children else self.pid
        try:
            if blow.whom == "group":
                os.killpg(self.pid, blow.signal)
            else:
                os.kill(target, blow.signal)
        except ProcessLookupError:
            self._struck = False


def run(program: Program, folder: Path, blow: Blow | None = None, limit: float = SLOW) -> Ended:
    """Run a program to its end; see `Running`."""
    return Running(program, folder, blow).wait(limit)


def _settle(work: Path, temporary: Path, printed: Sequence[Path]) -> None:
    """Give this process the surroundings of a program that was just started there."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(work)
    targets = [os.open(os.devnull, os.O_RDONLY)]
    targets += [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) for path in printed]
    for standard, descriptor in enumerate(targets):
        os.dup2(descriptor, standard)
    os.closerange(3, 1024)
    os.environ.update(TMPDIR=str(temporary), NO_COLOR="1", COLUMNS="200", PYTHONFAULTHANDLER="")
    tempfile.tempdir = None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _start(program: Program) -> NoReturn:
    command = [sys.executable, "-c", _STREAMED] if program.streamed else [console_script()]
    os.execv(command[0], [*command, *program.arguments])


def console_script() -> str:
    """The program as it was installed beside this Python.

    Raises:
        DataError: it was not.
    """
    found = shutil.which("activmask", path=str(Path(sys.executable).parent))
    if found is None:
        raise DataError("the program activmask is not installed beside this Python; pip install -e . does it")
    return found


def _main(program: Program) -> int:
    """What the console script does, and what Python does at the end; returns the exit code."""
    from activmask.training.feed import stream

    if program.streamed:
        cast(Any, stream).RESIDENT_BYTES = 0
    # As in the real program, a spawned child finds no main module of this benchmark to import.
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = ["activmask", *program.arguments]
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    atexit._clear()
    code = _called(import_module("activmask_cli.app").main)
    cast(Any, threading)._shutdown()
    cast(Any, multiprocessing.util)._exit_function()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _called(main: Any) -> int:
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:  # noqa: BLE001 - as the interpreter does at last
        traceback.print_exc()
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def bound_memory() -> None:
    """Let this process take `MEMORY` more than it has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _times(folder: Path) -> list[tuple[str, int]]:
    """When something last appeared in a folder, or in one below it."""
    found = []
    for place, _, _ in os.walk(folder):
        try:
            found.append((place, Path(place).stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found
