"""Sessions: a program and whatever it started, as Linux lists them in /proc."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_LOOK = 0.002
"""Seconds between the first two looks; the others are further apart."""


def members(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            facts = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(facts[3]) == session and facts[0] not in "ZX":
            found.append(int(entry.name))
    return found


def end(session: int, grace: float = 0.0) -> tuple[str, ...]:
    """Wait for the processes of a session, then kill those that are left; returns their command lines."""
    deadline = time.monotonic() + grace
    pause = _LOOK
    while (left := members(session)) and time.monotonic() < deadline:
        time.sleep(pause)  # noqa: TID251 - what is nobody's child gives no notice of its end
        pause = min(2 * pause, 0.2)
    named = tuple(command_line(pid) for pid in left)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return named


def command_line(pid: int) -> str:
    """What a process was started with, as far as it is known and not too long."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return b" ".join(words).decode(errors="replace").strip()[:200]
