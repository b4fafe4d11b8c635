"""Races: one command several times at once on one folder; one does it, and nothing is lost."""

import signal
import time
from contextlib import ExitStack
from random import Random

from benchmarks.endurance.operations import Blow
from benchmarks.endurance.outcome import Case, Outcome, faults, last_words
from benchmarks.endurance.place import Place, Undisturbed
from benchmarks.endurance.programs import Ended, Running
from benchmarks.endurance.sameness import differences
from benchmarks.endurance.scenarios import SCENARIOS, Scenario

STRUCK = 0.3
"""How many races lose a racer on the way."""


def race(place: Place, case: Case, rng: Random) -> Outcome:
    """Start a command two or three times, finish it where the one that did it was struck, and compare."""
    names = list(SCENARIOS)
    name = rng.choices(names, [SCENARIOS[name].races for name in names])[0]
    scenario, known = SCENARIOS[name], place.known(name)
    racers = rng.choice((2, 2, 3))
    starts = sorted(_offset(rng, known) for _ in range(racers - 1))
    victim = rng.randrange(racers) if rng.random() < STRUCK else None
    blow = Blow(signal=signal.SIGKILL, seconds=rng.uniform(0, known.seconds))
    with place.case(case.name, place.start(scenario)) as folder, ExitStack() as running:
        programs: list[Running] = []
        begun = time.monotonic()
        for number, offset in enumerate((0.0, *starts)):
            # What has begun to run is not struck before all have begun.
            time.sleep(max(0.0, begun + offset - time.monotonic()))  # noqa: TID251 - the moment is the case
            programs.append(Running(place.program(scenario), folder, blow if number == victim else None))
            running.callback(programs[-1].stop)
        ends = [program.wait(racers * known.limit) for program in programs]
        struck = victim is not None and ends[victim].struck
        losses = [line for ended in ends for line in faults(ended)]
        losses += _wrong_codes(ends, scenario, struck)
        if struck and not any(ended.code == 0 for ended in ends):
            finished = Running(place.program(scenario, *scenario.go_on), folder).wait(known.limit)
            losses += faults(finished)
            if finished.code != 0 and not (scenario.once and finished.code in {2, 3}):
                losses.append(
                    f"finishing ended with exit code {finished.code}: {last_words(finished.stderr)}"
                )
        losses += differences(folder / "work", known.folder)[:8]
    when = ", ".join(f"{offset:.3f}" for offset in starts)
    return Outcome(
        case=case,
        what=f"{name}, {racers} at once, begun after {when} s{f'; {blow}' if struck else ''}",
        about=name,
        result=_result(ends, scenario, struck),
        losses=tuple(losses),
    )


def _offset(rng: Random, known: Undisturbed) -> float:
    """Close together as often as anywhere within the time that the command takes."""
    return rng.uniform(0, known.seconds) if rng.random() < 0.5 else rng.uniform(0, 0.03)


def _doers(ends: list[Ended], scenario: Scenario) -> int:
    """How many did the work, not those that found it done."""
    done = [ended for ended in ends if ended.code == 0]
    return sum(1 for ended in done if not (scenario.idle and scenario.idle in ended.stdout))


def _wrong_codes(ends: list[Ended], scenario: Scenario, struck: bool) -> list[str]:
    allowed = {0, 2, 3} | ({-signal.SIGKILL} if struck else set())
    lines = [
        f"a racer ended with exit code {ended.code}: {last_words(ended.stderr)}"
        for ended in ends
        if ended.code not in allowed and not faults(ended)
    ]
    doers = _doers(ends, scenario)
    if not struck and not doers:
        lines.append(f"nobody did it: {'; '.join(last_words(ended.stderr) for ended in ends)}")
    if (scenario.idle or scenario.once) and doers > 1:
        lines.append(f"{doers} of {len(ends)} did it, each as if it were alone")
    return lines


def _result(ends: list[Ended], scenario: Scenario, struck: bool) -> str:
    return f"{_doers(ends, scenario)} did it{', one struck' if struck else ''}"
