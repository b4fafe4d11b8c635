"""The file operations of a program's main process: counted, and struck down before one of them."""

import mmap
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Whom = Literal["main", "group", "child"]
"""Who is struck: the main process, it and all its children as by a terminal, or one child alone."""

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
"""Events of Python's own audit that change a folder; `open` does if it is to write."""

_NUMBER, _STRUCK, _NAME = slice(0, 8), 8, slice(9, 512)


@dataclass(frozen=True, kw_only=True)
class Blow:
    """A signal, and the moment at which it is sent."""

    signal: signal.Signals
    whom: Whom = "main"
    operation: int | None = None
    """Before this file operation of the main process, counted from 1; None goes by time."""
    seconds: float = 0.0
    """After the start."""
    once_seen: bool = False
    """Count the seconds from the first file or folder that appears."""

    def __str__(self) -> str:
        """Such as `SIGTERM to group 0.3 s after the start`."""
        if self.operation is not None:
            when = f"before file operation {self.operation}"
        else:
            when = f"{self.seconds:.3f} s after {'its first file' if self.once_seen else 'the start'}"
        return f"{self.signal.name} to {self.whom} {when}"


class Counted:
    """What a program did so far, in memory that outlives it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._shared = mmap.mmap(-1, 4096)

    @property
    def number(self) -> int:
        """Of the operations that were begun."""
        return int.from_bytes(self._shared[_NUMBER], "little")

    @property
    def struck(self) -> bool:
        """Whether the program was struck before an operation."""
        return bool(self._shared[_STRUCK])

    @property
    def latest(self) -> str:
        """The operation that was begun last, such as `12 os.rename run/seed-0/.run.json.partial`."""
        name = self._shared[_NAME].rstrip(b"\0").decode(errors="replace")
        return f"{self.number} {name}" if name else ""

    def begin(self, name: str) -> int:
        """Count an operation; returns how many there are."""
        number = self.number + 1
        self._shared[_NUMBER] = number.to_bytes(8, "little")
        room = _NAME.stop - _NAME.start
        self._shared[_NAME] = name.encode(errors="replace")[:room].ljust(room, b"\0")
        return number

    def strike(self) -> None:
        """Note that the blow comes."""
        self._shared[_STRUCK] = 1


def count_operations(folder: Path, counted: Counted, blow: Blow | None) -> None:
    """Count what this process does in a folder from now on, for ever, and strike when it is time."""
    inside = f"{folder}{os.sep}"

    def begin(event: str, path: Any) -> None:
        name = os.fsdecode(path)
        if name.startswith(os.sep) and not name.startswith(inside):
            return
        number = counted.begin(f"{event} {name.removeprefix(inside)}")
        if blow is not None and number == blow.operation:
            counted.strike()
            if blow.whom == "group":
                os.killpg(os.getpgid(0), blow.signal)
            else:
                os.kill(os.getpid(), blow.signal)

    def heard(event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and isinstance(given[0], str | bytes | os.PathLike):
            begin(event, given[0])

    real = os.fsync

    def fsync(descriptor: Any) -> None:
        # Between its writing and its renaming a file is whole and not yet in its place.
        begin("fsync", "")
        real(descriptor)

    sys.addaudithook(heard)
    setattr(os, real.__name__, fsync)
