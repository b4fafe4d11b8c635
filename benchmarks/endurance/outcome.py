"""What became of one case, and what in the end of a program is a loss, whatever was done to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.endurance.programs import TRACEBACK, Ended
from benchmarks.endurance.sameness import names_below

Kind = Literal["kill", "mutation", "race"]
KINDS: tuple[Kind, ...] = ("kill", "mutation", "race")

CODES = (0, 2, 3, 4)
"""Exit codes that say what happened; 1 is a defect, and nothing of a mutation is an interrupt."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case, which its kind and number determine together with the seed."""

    kind: Kind
    number: int

    @property
    def name(self) -> str:
        """Such as kill-12, as `--repeat` takes it."""
        return f"{self.kind}-{self.number}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case."""

    case: Case
    what: str
    """What was done to what, in words."""
    about: str
    """The command, for the table."""
    result: str
    """How it ended, for the table."""
    losses: tuple[str, ...] = ()
    """What was lost, a line each."""
    kills: int = 0
    """Processes that a signal found alive, not those that it came too late for."""
    really_started: int = 0
    """Of these, the ones that had been started as a user starts them."""


def faults(ended: Ended) -> list[str]:
    """What no program may do, however it is treated: a traceback, a crash, no end, orphans."""
    lines = []
    if ended.code is None:
        lines.append(f"had not ended after {ended.seconds:.0f} s{_when(ended)}")
    elif ended.code == 1 or TRACEBACK in ended.stderr:
        lines.append(f"exit code {ended.code} and a traceback{_when(ended)}: {last_words(ended.stderr)}")
    lines += [f"left the process behind{_when(ended)}: {line}" for line in ended.orphans]
    return lines


def _when(ended: Ended) -> str:
    return f" (struck at file operation {ended.where})" if ended.struck and ended.where else ""


def last_words(stderr: str) -> str:
    """The last line that says something, and for a traceback where in the program it was."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    at = [line for line in lines if line.startswith("File ") and "activmask" in line]
    place = at[-1].rpartition("activmask/")[2] if at else ""
    said = lines[-1] if lines else ""
    if TRACEBACK in stderr:
        said = next((line for line in reversed(lines) if not line.startswith(("File ", "^", "~"))), said)
    return f"{said[:300]}{f' [{place}]' if place else ''}"


def hidden_names(work: Path, known: set[str]) -> list[str]:
    """Hidden files and folders that lie in a working folder and are not known."""
    return sorted(name for name in names_below(work) - known if name.rpartition("/")[2].startswith("."))
