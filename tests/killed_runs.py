"""Trainings that die before each of their operations on files.

`test_killed_anywhere.py` runs it in a process of its own: `python killed_runs.py FOLDER SCENARIO ...` trains
in an empty folder and prints, as JSON, how many operations and deaths there were in each scenario. Whatever
is not as it should be is an AssertionError.
"""

import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch

from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.machine import beside
from activmask.runs.folder import FILES, HISTORY_FILE, STATE_FILE
from activmask.runs.making import make_config
from activmask.training import together
from activmask.training.graphs import replay
from activmask.training.replicas import advance, saves
from activmask.training.run import train

Tree = dict[str, bytes | None]
LOCK = ".activmask-lock"
Operation = tuple[str, tuple[str, ...]]
LOOKING = {"os.listdir", "os.scandir", "os.walk", "os.getxattr", "os.listxattr"}
PAIRS = 3
"""First deaths after which the run that goes on dies too, and deaths of each of those runs."""

REAL = 6
"""Each so-manieth death is died in earnest, to see that it leaves what was noted."""


@dataclass(kw_only=True)
class Scenario:
    """A command that is killed, and what there was before it."""

    settings: dict[str, Any]
    seeds: tuple[int, ...] = (0,)
    before: Callable[[Path, Path], None] | None = None
    flags: dict[str, bool] = field(default_factory=dict)
    dies_with: bytes = b""
    """What some death's state holds, without which the scenario tests nothing of its own."""


def small(data: Path, **settings: Any) -> Any:
    common = {
        "model": "cnn",
        "width": 2,
        "lr": 3e-2,
        "select": "loss",
        "batch_size": 4,
        "device": "cpu",
        "threads": 1,
    }
    return make_config(data=str(data), **{**common, **settings})


def trained(**settings: Any) -> Callable[[Path, Path], None]:
    def before(data: Path, out: Path) -> None:
        train(small(data, **settings), out=out)

    return before


def a_row_short(data: Path, out: Path) -> None:
    """A finished run as an earlier version left it when it died between its last state and its history."""
    train(small(data, epochs=3), out=out)
    history = out / "seed-0" / HISTORY_FILE
    history.write_bytes(b"".join(history.read_bytes().splitlines(keepends=True)[:-1]))


RECORDED = "recorded"
"""Trained as on CUDA, where states are saved now and then."""

SCENARIOS = {
    "three epochs": Scenario(settings={"epochs": 3}),
    "one epoch": Scenario(settings={"epochs": 1}),
    "two seeds and a discriminator": Scenario(settings={"epochs": 1, "adversarial": 0.5}, seeds=(0, 1)),
    "extended": Scenario(
        settings={"epochs": 3, "lr": 3e-2}, before=trained(epochs=1), flags={"resume": True}
    ),
    "overwritten": Scenario(
        settings={"epochs": 2}, before=trained(epochs=2, lr=1e-3), flags={"overwrite": True}
    ),
    "mended": Scenario(settings={"epochs": 3}, before=a_row_short, flags={"resume": True}),
    # The best epoch, 1, is before the first that is saved, 2: it is in that state and in a file of its own.
    RECORDED: Scenario(settings={"epochs": 5}, dies_with=b'"best.'),
}


def tree(folder: Path) -> Tree:
    """Every file under a folder, and every folder as None; of a lock's owner nothing."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() * (path.suffix != LOCK)
        for path in sorted(folder.rglob("*"))
    }


def plant(folder: Path, files: Tree) -> None:
    """The folder as it was when `tree` read it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def writes(event: str, args: tuple[Any, ...], root: str) -> tuple[str, ...]:
    """The paths under a folder that an audit event is about to change; none where it only looks."""
    if event == "open":
        looks = not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    else:
        looks = not event.startswith("os.") or event in LOOKING
    if looks:
        return ()
    paths = [os.fsdecode(arg) for arg in args if isinstance(arg, str | bytes | os.PathLike)]
    return tuple(path for path in paths if path.startswith(root))


class Witness:
    """Notes what this process is about to do to files under a folder, and what lies there at that instant."""

    def __init__(self, root: Path) -> None:
        self.root, self.active, self.kill_at = root, False, 0
        self.operations: list[Operation] = []
        self.deaths: list[Tree] = []
        sys.addaudithook(self.hear)
        os.fsync = self.sync

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.active and (paths := writes(event, args, str(self.root))):
            self.note(event, paths)

    def sync(self, descriptor: int) -> None:
        # No power is cut here, so that nothing need reach the disk.
        if self.active:
            self.note("fsync", (str(Path(f"/proc/self/fd/{descriptor}").readlink()),))

    def note(self, event: str, paths: tuple[str, ...]) -> None:
        self.operations.append((event, paths))
        if self.kill_at:
            if len(self.operations) == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return
        self.deaths.append(tree(self.root))

    def watch(self, act: Callable[[], object]) -> tuple[list[Operation], list[Tree]]:
        """Every operation of an action, and the tree that a death before it would leave."""
        self.operations, self.deaths, self.active = [], [], True
        act()
        self.active = False
        return self.operations, self.deaths

    def die(self, act: Callable[[], object], kill_at: int) -> None:
        """Act in a forked child that is killed before an operation, counted from 1."""
        child = os.fork()
        if child == 0:
            self.kill_at = kill_at
            try:
                self.watch(act)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGKILL


class Stage:
    """A scenario in its folder."""

    def __init__(self, scenario: Scenario, data: Path, place: Path) -> None:
        self.scenario, self.data, self.place = scenario, data, place
        self.out = place / "run"
        self.config = small(self.data, **self.scenario.settings)
        if self.scenario.before:
            self.scenario.before(self.data, self.out)
        self.old = tree(self.out)
        self.witness = Witness(self.out)
        # What is loaded on first use is loaded before anything is watched.
        train(self.config, self.scenario.seeds, place / "warm")

    def go(self) -> None:
        train(self.config, self.scenario.seeds, self.out, **self.scenario.flags)

    def go_on(self) -> None:
        """What is done about a death: resumed, or overwritten again where the old run is still whole."""
        left = {name: content for name, content in tree(self.out).items() if not name.endswith(LOCK)}
        whole = self.scenario.flags.get("overwrite") and left == self.old
        train(
            self.config,
            self.scenario.seeds,
            self.out,
            **({"overwrite": True} if whole else {"resume": True}),
        )


def die_everywhere(stage: Stage) -> tuple[int, int]:
    """Every death, some of them by a real signal, and pairs of deaths; how many operations and deaths."""
    plant(stage.out, stage.old)
    operations, deaths = stage.witness.watch(stage.go)
    expected = tree(stage.out)
    if not stage.old:
        renamed = [Path(paths[-1]).name for event, paths in operations if event == "os.rename"]
        assert tuple(dict.fromkeys(renamed)) == FILES
    states = [content for death in deaths for name, content in death.items() if name.endswith(STATE_FILE)]
    assert any(stage.scenario.dies_with in (content or b"") for content in states)
    gone_on_from: list[Tree] = []
    for number, (operation, death) in enumerate(zip(operations, deaths, strict=True)):
        after = deaths[number + 1] if number + 1 < len(deaths) else expected
        check_one_step(death, after, operation, stage.out)
        if stage.scenario.flags.get("overwrite"):
            check_old_or_new(death, stage.old, expected, operation)
        # A death before a sync leaves what one after it leaves, from which the same run goes on.
        if death not in gone_on_from:
            gone_on_from.append(death)
            plant(stage.out, death)
            stage.go_on()
            check_same(tree(stage.out), expected, operation)
    for number in range(1, len(operations) + 1, REAL):
        plant(stage.out, stage.old)
        stage.witness.die(stage.go, number)
        check_same(tree(stage.out), deaths[number - 1], operations[number - 1])
    return len(operations), len(deaths) + die_twice(stage, deaths, expected)


def die_twice(stage: Stage, deaths: list[Tree], expected: Tree) -> int:
    """Pairs of deaths, the second in the run that was to go on."""
    random, second_deaths = Random(len(deaths)), 0
    for first in random.sample(deaths, PAIRS):
        plant(stage.out, first)
        operations, later = stage.witness.watch(stage.go_on)
        for number in random.sample(range(len(later)), min(PAIRS, len(later))):
            plant(stage.out, later[number])
            stage.go_on()
            check_same(tree(stage.out), expected, operations[number])
            second_deaths += 1
    return second_deaths


def check_one_step(before: Tree, after: Tree, operation: Operation, out: Path) -> None:
    """Between two deaths next to each other nothing changed but what the operation between them names."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    named = {os.path.relpath(path, out) for path in operation[1]}
    strangers = {name for name in changed if not any(Path(name).is_relative_to(one) for one in named)}
    assert not strangers, (operation, strangers)


def check_old_or_new(now: Tree, old: Tree, new: Tree, operation: Operation) -> None:
    """A run that is overwritten is there whole, or nothing that the new one has otherwise is where it was."""
    left = [
        name
        for name, content in old.items()
        if name.startswith("seed-0/") and now.get(name) == content != new.get(name)
    ]
    assert not left or all(now.get(name) == content for name, content in old.items()), operation


def check_same(found: Tree, expected: Tree, operation: Operation) -> None:
    """The same files of the same bytes."""
    assert found.keys() == expected.keys(), (operation, found.keys() ^ expected.keys())
    other = [name for name in expected if found[name] != expected[name]]
    assert not other, (operation, other)


def main(place: Path, names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    ticks = itertools.count(1.0)
    # Every epoch takes a second, so that files are equal to the byte; saving takes none.
    advance.perf_counter = replay.perf_counter = lambda: next(ticks)
    together.perf_counter = saves.perf_counter = lambda: 0.0
    saves.SECONDS_BETWEEN_SAVES = 1.5
    # So that operations have one order. Seeds have folders of their own: written beside each other, they
    # leave nothing else.
    beside.cores = lambda: 1
    make_synthetic(SyntheticSpec(n=8, valid=4, test=4, seed=3), place / "data")
    ordinary, found = together.why_not_recorded, {}
    for name in names:
        together.why_not_recorded = (lambda _replicas: "") if name == RECORDED else ordinary
        (place / name).mkdir()
        found[name] = die_everywhere(Stage(SCENARIOS[name], place / "data", place / name))
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
