"""Real programs that halt at a chosen place, so that a test which kills them there is never early or late.

Nothing here waits for a time to pass: a program says on stderr where it is, and its end, with that of its
children, closes stderr.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HOLD = Path(__file__).with_name("held")
GIVE_UP = 1800.0
"""Seconds after which what never ends has failed; on no busy machine does what ends take as long."""

Program = subprocess.Popen[str]


FROM_A_TERMINAL = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""What the signals that end programs mean to one that is started there."""


@contextmanager
def as_from_a_terminal() -> Iterator[None]:
    """Hear those signals, also under nohup or in a shell's background; what is started meanwhile does too."""
    before = {number: signal.signal(number, way) for number, way in FROM_A_TERMINAL.items()}
    try:
        yield
    finally:
        for number, way in before.items():
            signal.signal(number, way)


@contextmanager
def started(
    command: Sequence[object], *, cwd: Path, env: Mapping[str, str] = os.environ
) -> Iterator[Program]:
    """A program in a process group of its own, of which nothing is left in the end."""
    with as_from_a_terminal():
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def held(
    command: Sequence[object],
    event: str,
    pattern: str,
    *,
    times: int = 1,
    halts: bool = True,
    cwd: Path,
    env: Mapping[str, str] = os.environ,
) -> Iterator[Program]:
    """A program that has come to a place, in itself or in a process that it started, and halts there.

    Args:
        command: starts it.
        event: of Python's audit events, such as `os.rename`, before which it halts.
        pattern: of what the event is about, such as a path.
        times: how often a process has to come there.
        halts: False lets it go on.
        cwd: where it starts.
        env: its environment.
    """
    path = os.pathsep.join(filter(None, [str(HOLD), env.get("PYTHONPATH")]))
    place = json.dumps([event, pattern, times, halts])
    with started(command, cwd=cwd, env={**env, "PYTHONPATH": path, "ACTIVMASK_HELD": place}) as process:
        wait_for(process, "held")
        yield process


def wait_for(process: Program, word: str) -> None:
    """Read what it says until the word comes."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if word in line:
            return
    raise AssertionError(f"it ended before it said {word!r}: {''.join(said)}")


def last_words(process: Program) -> str:
    """What it says until it has ended, and every process that it started."""
    return process.communicate(timeout=GIVE_UP)[1]
