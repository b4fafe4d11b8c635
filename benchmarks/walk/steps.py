"""What is typed, what should come of it, and what came."""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

WIDTH = 80
NEXT = re.compile(r"^next: (activmask .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A line that is typed, and what should come of it."""

    typed: str
    code: int = 0
    """That it ends with."""
    says: Sequence[str] = ()
    """Regular expressions, each found in what it prints."""
    leaves: Sequence[str] = ()
    """Patterns below the folder, each of at least one file."""
    narrow: bool = False
    """Whether no line is longer than the terminal is wide."""


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """What came of a line."""

    chapter: str
    shown: str
    code: int
    seconds: float
    said: str
    faults: Sequence[str]


def walked(chapter: str, steps: Sequence[Step], home: Path, programs: Path) -> Iterator[Stepped]:
    """Type the lines of a chapter one after another, and each next step that they print.

    Args:
        chapter: its name.
        steps: its lines.
        home: the folder to stand in.
        programs: the folder whose `activmask` and `python` are meant.
    """
    for step in steps:
        done = _typed(chapter, step, home, programs)
        yield done
        for line in NEXT.findall(done.said):
            once = f"{line} --epochs 1" if line.startswith("activmask train") else line
            yield _typed(chapter, Step(once), home, programs)


def _typed(chapter: str, step: Step, home: Path, programs: Path) -> Stepped:
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    begun = perf_counter()
    done = subprocess.run(
        ["bash", "-c", step.typed],
        cwd=home,
        env={**os.environ, "PATH": path, "COLUMNS": str(WIDTH), "HOME": str(home), "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return Stepped(
        chapter=chapter,
        shown=step.typed,
        code=done.returncode,
        seconds=perf_counter() - begun,
        said=done.stdout,
        faults=list(_faults(step, done.returncode, done.stdout, home)),
    )


def _faults(step: Step, code: int, said: str, home: Path) -> Iterator[str]:
    if code != step.code:
        yield f"ended with {code}, not {step.code}"
    if "Traceback" in said:
        yield "a traceback"
    words = " ".join(said.split())
    yield from (f"does not say '{what}'" for what in step.says if not re.search(what, words))
    yield from (f"leaves no {what}" for what in step.leaves if not any(home.glob(what)))
    if step.narrow and (long := max(map(len, said.splitlines()), default=0)) > WIDTH:
        yield f"a line of {long} characters"
