"""Does anything get lost when commands are killed, given damaged files, or run against each other?

    python -m benchmarks endurance --minutes 60 --out benchmarks/results/endurance

goes through cases for so many minutes: of 166, 5 are kills, 160 mutations and one is a race.

A kill strikes a command of the program at a random moment, or before a random one of its file operations,
once or twice, finishes it with the same command (and --resume), and compares its folder with that of an
undisturbed run: the same files with the same content, but for seconds and images a second. A mutation
damages one file, and the command that reads it must end by itself with exit code 0, 2, 3 or 4 and without a
traceback; where it believes a damaged file of a run, it must come to what the whole file gives (but for
edits of files as earlier versions wrote them, which had no digests). A race starts a command two or three
times at once, and one of them must do it.

More than half of the kills, all mutations and all races are of programs forked from this process, which has
done all imports; the others are started by their console script. Memory is bounded for mutations alone. It
needs Linux. Only losses count, never slowness; each is shown with the command that repeats it.
"""

import os
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import cycle
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from activmask.ground.errors import UsageError
from benchmarks.command import PROGRAM, Findings
from benchmarks.endurance.lanes import LaneLost, on_lanes
from benchmarks.endurance.outcome import KINDS, Case, Kind, Outcome
from benchmarks.endurance.tally import behind, parts, said

if TYPE_CHECKING:
    from benchmarks.endurance.place import Place

_MUTATIONS: tuple[Kind, ...] = ("mutation",) * 32
_TURN: tuple[Kind, ...] = ("kill", *_MUTATIONS)
TURNS: tuple[Kind, ...] = (*_TURN, *_TURN, "race", *_TURN, *_TURN, *_TURN)
"""What kinds of cases follow each other, again and again."""
TELLING = 30.0
"""Seconds between two findings."""


def add_options(parser: ArgumentParser) -> None:
    """Declare how long, and what is drawn."""
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="after which no case begins (default: 60)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws all cases (default: 0)")
    parser.add_argument(
        "--lanes", type=int, default=os.cpu_count() or 1, help="cases at once (default: cores)"
    )
    parser.add_argument("--only", choices=KINDS, help="cases of one kind")
    parser.add_argument(
        "--repeat", nargs="+", metavar="CASE", help="these cases of the seed, such as kill-12"
    )


def measure(given: Namespace) -> Iterator[Findings]:
    """Go through cases; what is lost is printed at once, and everything is found again at the end."""
    _check(given)
    outcomes: list[Outcome] = []
    begun = told = time.monotonic()
    lost_lane = False
    with tempfile.TemporaryDirectory(prefix="endurance-", ignore_cleanup_errors=True) as root:
        try:
            for outcome in _outcomes(given, Path(root), begun):
                outcomes.append(outcome)
                _tell(outcome)
                if time.monotonic() - told > TELLING:
                    told = time.monotonic()
                    _say(f"{(told - begun) / 60:.1f} min: {said(outcomes)}")
                    yield _findings(given, outcomes)
        except KeyboardInterrupt:
            _say("interrupted; this is what there was until then")
        except LaneLost as error:
            _say(f"ended too early: {error}")
            lost_lane = True
    yield _findings(given, outcomes, failed=lost_lane)


def _check(given: Namespace) -> None:
    if not sys.platform.startswith("linux"):
        raise UsageError("endurance reads of processes from /proc, which Linux alone has")
    if given.lanes < 1 or not given.minutes > 0:
        raise UsageError("--lanes and --minutes are greater than 0")
    for name in given.repeat or ():
        kind, _, number = name.partition("-")
        if kind not in KINDS or not number.isdecimal():
            raise UsageError(f"'{name}' is no case; they are called {', '.join(f'{k}-0' for k in KINDS)}")


def _outcomes(given: Namespace, root: Path, begun: float) -> Iterator[Outcome]:
    # They take seconds, which --help can do without; lanes are forked from a process that has them.
    for module in ("activmask_cli.app", "activmask.training.run", "activmask.report.write"):
        import_module(module)
    # What typer imports when it is first called.
    CliRunner().invoke(import_module("activmask_cli.app").app, ["--version"])
    from benchmarks.endurance.place import Place

    place = Place(root)
    place.make()
    until = begun + 60 * given.minutes
    if given.repeat:
        cases = iter([_case(name) for name in given.repeat])
        until = float("inf")
    else:
        cases = _cases(given.only)
    yield from on_lanes(partial(_do, place, given.seed), cases, given.lanes, until)


def _cases(only: Kind | None) -> Iterator[Case]:
    numbers = dict.fromkeys(KINDS, 0)
    for kind in cycle((only,) if only else TURNS):
        yield Case(kind=kind, number=numbers[kind])
        numbers[kind] += 1


def _case(name: str) -> Case:
    kind, _, number = name.partition("-")
    return Case(kind=next(one for one in KINDS if one == kind), number=int(number))


def _do(place: "Place", seed: int, case: Case) -> Outcome:
    from benchmarks.endurance.kills import strike
    from benchmarks.endurance.mutations import mutate
    from benchmarks.endurance.races import race

    kinds: dict[Kind, Callable[[Place, Case, Random], Outcome]] = {
        "kill": strike,
        "mutation": mutate,
        "race": race,
    }
    try:
        return kinds[case.kind](place, case, Random(f"{seed}:{case.name}"))
    except Exception:  # noqa: BLE001 - it is told, counts as lost, and leaves the hour of the others alone
        said = " / ".join(traceback.format_exc().strip().splitlines()[-3:])
        return Outcome(
            case=case, what=case.name, about="this benchmark", result="failed itself", losses=(said,)
        )


def _tell(outcome: Outcome) -> None:
    for line in outcome.losses:
        _say(f"lost in {outcome.case.name}: {outcome.what!a}: {line!a}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _findings(given: Namespace, outcomes: list[Outcome], *, failed: bool = False) -> Findings:
    again = f"{PROGRAM} endurance --seed {given.seed} --repeat"
    return Findings(
        title="Endurance: kills, damaged files and races",
        parts=parts(outcomes, again),
        behind=behind(outcomes, given.seed),
        failed=failed or any(outcome.losses for outcome in outcomes),
    )
