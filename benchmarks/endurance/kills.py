"""Kills: a command that is struck once or twice and finished must leave what an undisturbed one leaves."""

import signal
from random import Random

from benchmarks.endurance.operations import Blow, Whom
from benchmarks.endurance.outcome import Case, Outcome, faults, hidden_leftovers, last_words
from benchmarks.endurance.place import Place, Undisturbed
from benchmarks.endurance.programs import Ended, Running, end
from benchmarks.endurance.sameness import differences
from benchmarks.endurance.scenarios import SCENARIOS, Scenario

SIGNALS = {signal.SIGKILL: 6, signal.SIGTERM: 2, signal.SIGINT: 2}
SPOKEN = {signal.SIGTERM: 143, signal.SIGINT: 130}
"""The exit code of a program that hears a signal and ends; a shell says the same of one that dies of it."""

TWICE = 0.25
"""How many cases strike the resumed program too."""
STARTED = 0.4
"""How many cases are really started, every time."""
BY_OPERATION = 0.6
"""How many of the forked ones are struck before a file operation instead of by time."""
STARTUP = 6.0
"""Seconds that a started program may need before it does anything."""


def strike(place: Place, case: Case, rng: Random) -> Outcome:
    """Run a command, strike it, finish it, and compare."""
    names = list(SCENARIOS)
    name = rng.choices(names, [SCENARIOS[name].weight for name in names])[0]
    scenario, known = SCENARIOS[name], place.known(name)
    started = rng.random() < STARTED
    at_once = rng.random() < 0.25
    blows = [_blow(rng, known, started) for _ in range(1 + (rng.random() < TWICE))]
    words = [f"{name}, {'started' if started else 'forked'}", *map(str, blows)]
    losses: list[str] = []
    ends: list[str] = []
    kills = 0
    start = place.start(scenario)
    with place.case(case.name, start) as folder:
        for turn, blow in enumerate(blows):
            added = scenario.go_on if turn else ()
            running = Running(place.program(scenario, *added, started=started), folder, blow)
            ended = running.wait(known.limit, orphans=not at_once)
            losses += [*faults(ended), *_wrong_end(ended, blow, scenario, turn)]
            kills += ended.struck
            ends.append(_how(ended, blow))
            if blow.signal in SPOKEN and blow.whom != "child" and not at_once:
                losses += _after_words(scenario, hidden_leftovers(folder / "work", (start, known.folder)))
        finishing = place.program(scenario, *scenario.go_on, started=started)
        ended = Running(finishing, folder).wait(known.limit)
        if at_once:
            losses += [f"left the process behind: {line}" for line in end(running.pid, 60)]
            if ended.code == 3:
                # The children of the one that was struck may have held on until now.
                ended = Running(finishing, folder).wait(known.limit)
        losses += faults(ended)
        different = differences(folder / "work", known.folder)
        refused = scenario.once and ended.code in {2, 3} and not different
        if ended.code != 0 and not refused and not faults(ended):
            losses.append(f"finishing ended with exit code {ended.code}: {last_words(ended.stderr)}")
        losses += different[:8]
    return Outcome(
        case=case,
        what="; ".join([*words, *(["finished at once"] if at_once else [])]),
        about=name,
        result=ends[0],
        losses=tuple(losses),
        kills=kills,
        really_started=kills if started else 0,
    )


def _blow(rng: Random, known: Undisturbed, started: bool) -> Blow:
    number = rng.choices(list(SIGNALS), list(SIGNALS.values()))[0]
    # A terminal speaks to the whole group; schedulers and the kernel to one process.
    whoms: list[Whom] = ["main", "group"] if number != signal.SIGKILL else ["main", "main", "group", "child"]
    whom: Whom = "group" if number == signal.SIGINT else rng.choice(whoms)
    if known.operations and not started and whom != "child" and rng.random() < BY_OPERATION:
        return Blow(signal=number, whom=whom, operation=rng.randint(1, known.operations))
    # A program that has not begun yet cannot hear.
    once_seen = number in SPOKEN or (started and rng.random() < 0.7)
    longest = known.seconds if once_seen or not started else STARTUP + known.seconds
    return Blow(signal=number, whom=whom, seconds=rng.uniform(0, longest), once_seen=once_seen)


def _wrong_end(ended: Ended, blow: Blow, scenario: Scenario, turn: int) -> list[str]:
    """What is wrong with the way in which a struck program ended."""
    if ended.code is None or ended.code == 1:
        return []
    allowed = {0}
    if ended.struck:
        allowed |= {-blow.signal, SPOKEN.get(blow.signal, 0)}
        allowed |= {3, 4} if blow.whom == "child" else set()
    if turn and scenario.once:
        allowed |= {2, 3}
    if turn:
        # One of its predecessor's children may still hold what it needs.
        allowed |= {3}
    if ended.code in allowed:
        return []
    return [f"exit code {ended.code} after {blow}: {last_words(ended.stderr)}"]


def _after_words(scenario: Scenario, lines: list[str]) -> list[str]:
    kept = [line for line in lines if scenario.keeps and line.startswith(scenario.keeps)]
    return [f"after a signal that it heard, {line}" for line in lines if line not in kept]


def _how(ended: Ended, blow: Blow) -> str:
    if not ended.struck:
        return "ended first"
    if ended.code == -blow.signal:
        return f"died of {blow.signal.name}"
    if ended.code == 0:
        return f"ended in spite of {blow.signal.name}"
    return f"{blow.signal.name}: exit code {ended.code}" if ended.code is not None else "never ended"
