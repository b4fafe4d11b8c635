"""The folder of an endurance test: its inputs, and what every command leaves where nothing disturbs it.

That is made when it is first asked for, by one process at a time.
"""

import fcntl
import json
import math
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.endurance.material import write_material
from benchmarks.endurance.operations import Blow
from benchmarks.endurance.programs import SLOW, Ended, Program, run
from benchmarks.endurance.scenarios import SCENARIOS, Scenario

AN_HOUR = 3600.0


class UndisturbedFailure(Exception):
    """A command failed although nothing disturbed it, so that nothing can be said about disturbances."""


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """What a command does on a quiet day."""

    folder: Path
    """As it leaves it."""
    seconds: float
    operations: int
    stdout: str

    @property
    def limit(self) -> float:
        """Seconds after which it would never end: a busy machine is no finding."""
        return max(SLOW, 50 * self.seconds)


class Place:
    """Where everything lies."""

    def __init__(self, root: Path) -> None:
        """At a folder; `make` makes it."""
        self.root = root
        self.inputs = root / "inputs"

    def make(self) -> None:
        """Write the inputs."""
        for folder in (
            self.inputs,
            *(self.root / name for name in ("known", "half", "start", "cases", "locks")),
        ):
            folder.mkdir(parents=True)
        write_material(self.inputs)

    def arguments(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """A command's, with the place of the inputs."""
        return tuple(word.replace("{inputs}", str(self.inputs)) for word in command)

    def program(
        self, scenario: Scenario, *added: str, started: bool = False, capped: bool = False
    ) -> Program:
        """A scenario's command, with more arguments."""
        words = (*scenario.command, *(word for word in added if word not in scenario.command))
        return Program(
            arguments=self.arguments(words), streamed=scenario.streamed, started=started, capped=capped
        )

    @contextmanager
    def case(self, name: str, start: Path | None) -> Iterator[Path]:
        """A folder with `work`, a copy of `start` or empty; gone afterwards."""
        folder = self.root / "cases" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            if start is None:
                (folder / "work").mkdir()
            else:
                shutil.copytree(start, folder / "work", symlinks=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, scenario: Scenario) -> Path | None:
        """What lies in the working folder before a scenario's command; None for nothing."""
        before = None
        if scenario.before:
            before = self.half(scenario.before) if scenario.half else self.known(scenario.before).folder
        if not scenario.material:
            return before
        kept = self.root / "start" / _plain("-".join((scenario.before, *sum(scenario.material, ()))))
        with self._alone(kept):
            if not kept.exists():
                with self.case(f"start {kept.name}", before) as folder:
                    for name, called in scenario.material:
                        _copy(self.inputs / name, folder / "work" / called)
                    (folder / "work").rename(kept)
        return kept

    def known(self, name: str) -> Undisturbed:
        """What a scenario comes to; made by the first who asks.

        Raises:
            UndisturbedFailure: it fails.
        """
        scenario, kept = SCENARIOS[name], self.root / "known" / _plain(name)
        start = self.start(scenario)
        with self._alone(kept):
            if not kept.with_suffix(".json").exists():
                with self.case(f"known {_plain(name)}", start) as folder:
                    ended = run(self.program(scenario), folder, limit=AN_HOUR)
                    _check(name, ended)
                    (folder / "work").rename(kept)
                facts = {key: getattr(ended, key) for key in ("seconds", "operations", "stdout")}
                kept.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
        facts = json.loads(kept.with_suffix(".json").read_text(encoding="utf-8"))
        return Undisturbed(folder=kept, **facts)

    def half(self, name: str) -> Path:
        """A folder in which a scenario's command was killed about half-way."""
        kept = self.root / "half" / _plain(name)
        known = self.known(name)
        with self._alone(kept):
            if not kept.exists():
                scenario = SCENARIOS[name]
                blow = Blow(signal=signal.SIGKILL, operation=math.ceil(0.6 * known.operations))
                with self.case(f"half {_plain(name)}", self.start(scenario)) as folder:
                    ended = run(self.program(scenario), folder, blow, limit=AN_HOUR)
                    if not ended.struck:
                        raise UndisturbedFailure(f"{name}: {blow}: it ended before that")
                    (folder / "work").rename(kept)
        return kept

    @contextmanager
    def _alone(self, what: Path) -> Iterator[None]:
        with (self.root / "locks" / f"{what.parent.name} {what.name}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _check(name: str, ended: Ended) -> None:
    if ended.code != 0 or ended.orphans:
        raise UndisturbedFailure(
            f"{name} fails where nothing disturbs it: {asdict(ended) | {'stdout': ended.stdout[-500:]}}"
        )


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _plain(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")
