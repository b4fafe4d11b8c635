"""Kills: a command that is struck once or twice and finished must leave what an undisturbed one leaves."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.endurance.operations import Blow, Whom
from benchmarks.endurance.outcome import Case, Outcome, faults, hidden_names, last_words
from benchmarks.endurance.place import Place, Undisturbed
from benchmarks.endurance.programs import GRACE, Ended, Program, Running, run
from benchmarks.endurance.sameness import differences, names_below, tensors_and_header
from benchmarks.endurance.scenarios import SCENARIOS, Scenario
from benchmarks.endurance.sessions import end

SIGNALS = {signal.SIGKILL: 6, signal.SIGTERM: 2, signal.SIGINT: 2}
SPOKEN = {signal.SIGTERM: 143, signal.SIGINT: 130}
"""The exit code of a program that hears a signal and ends; a shell says the same of one that dies of it."""

TWICE = 0.25
"""How many cases strike the resumed program too."""
AT_ONCE = 0.25
"""How many are gone on with before the children of the struck program have ended."""
STARTED = 0.45
"""How many cases are really started, every time."""
BY_OPERATION = 0.6
"""How many of the forked ones are struck before a file operation instead of by time."""
STARTUP = 6.0
"""Seconds that a started program may need before it does anything."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done to which command."""

    name: str
    started: bool
    """Whether the program is started by its console script, every time."""
    at_once: bool
    """Whether the next program begins while children of the one before may still be ending."""
    blows: tuple[Blow, ...]

    def __str__(self) -> str:
        """In words."""
        words = [f"{self.name}, {'started' if self.started else 'forked'}", *map(str, self.blows)]
        return "; ".join([*words, *(["finished at once"] if self.at_once else [])])


def strike(place: Place, case: Case, rng: Random) -> Outcome:
    """Run a command, strike it, finish it, and compare."""
    plan = _plan(place, rng)
    scenario, known = SCENARIOS[plan.name], place.known(plan.name)
    with place.case(case.name, place.start(scenario)) as folder:
        turns = [_turn(place, plan, number, folder) for number in range(len(plan.blows))]
        losses = [line for turn in turns for line in turn.losses]
        if plan.at_once:
            ended = run(_again(place, plan), folder, limit=known.limit)
            losses += [
                f"left the process behind: {line}" for one in turns for line in end(one.session, GRACE)
            ]
        if not plan.at_once or ended.code == 3:
            # What held on to its work until just now has let go of it.
            ended = run(_again(place, plan), folder, limit=known.limit)
        losses += _unfinished(ended, scenario, differences(folder / "work", known.folder))
    kills = sum(turn.ended.struck for turn in turns)
    return Outcome(
        case=case,
        what="; ".join([str(plan), *(f"struck at {turn.ended.where}" for turn in turns if turn.ended.where)]),
        about=plan.name,
        result=_how(turns[0].ended, plan.blows[0]),
        losses=tuple(losses),
        kills=kills,
        really_started=kills if plan.started else 0,
    )


def _plan(place: Place, rng: Random) -> Plan:
    names = list(SCENARIOS)
    name = rng.choices(names, [SCENARIOS[name].weight for name in names])[0]
    started, at_once, twice = rng.random() < STARTED, rng.random() < AT_ONCE, rng.random() < TWICE
    known = place.known(name)
    blows = tuple(_blow(rng, known, started) for _ in range(1 + twice))
    return Plan(name=name, started=started, at_once=at_once, blows=blows)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A program that was struck."""

    ended: Ended
    session: int
    losses: list[str]


def _turn(place: Place, plan: Plan, number: int, folder: Path) -> Turn:
    scenario, blow, work = SCENARIOS[plan.name], plan.blows[number], folder / "work"
    known = place.known(plan.name)
    before = names_below(work) | names_below(known.folder)
    running = Running(_again(place, plan, resumed=number > 0), folder, blow)
    ended = running.wait(known.limit, orphans=not plan.at_once)
    losses = [*faults(ended), *_wrong_end(ended, blow, scenario, number), *mixed_up(work)]
    if blow.signal in SPOKEN and blow.whom != "child" and not plan.at_once:
        left = [name for name in hidden_names(work, before) if not _kept(name, scenario)]
        losses += [f"after {blow.signal.name}, {name} is left over" for name in left]
    return Turn(ended=ended, session=running.pid, losses=losses)


def _kept(name: str, scenario: Scenario) -> bool:
    return bool(scenario.keeps) and name.endswith(scenario.keeps)


def _again(place: Place, plan: Plan, *, resumed: bool = True) -> Program:
    scenario = SCENARIOS[plan.name]
    return place.program(scenario, *(scenario.go_on if resumed else ()), started=plan.started)


def _unfinished(ended: Ended, scenario: Scenario, different: list[str]) -> list[str]:
    """What is missing at the end of it all."""
    lines = faults(ended)
    found_done = scenario.once and ended.code in {2, 3} and not different
    if ended.code != 0 and not found_done and not lines:
        lines.append(f"finishing ended with exit code {ended.code}: {last_words(ended.stderr)}")
    return [*lines, *different[:8]]


def mixed_up(work: Path) -> list[str]:
    """Checkpoints that lie beside the description of another run."""
    lines = []
    for described in work.glob("**/run.json"):
        try:
            expected = _same_run(json.loads(described.read_bytes())["config"])
            for path in sorted(described.parent.glob("[!.]*.safetensors")):
                written = tensors_and_header(path.read_bytes())["__metadata__"]["activmask"]
                if _same_run(written.get("description", written)["config"]) != expected:
                    lines.append(f"{path.relative_to(work)} lies beside the description of another run")
        except (ValueError, KeyError) as error:
            lines.append(f"{described.relative_to(work)} or a checkpoint is not whole ({error!r})")
    return lines


def _same_run(config: dict[str, object]) -> dict[str, object]:
    # More epochs and another machine are the same run.
    return {name: value for name, value in config.items() if name not in {"epochs", "device", "threads"}}


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


def _how(ended: Ended, blow: Blow) -> str:
    if not ended.struck:
        return "ended first"
    if ended.code == -blow.signal:
        return f"died of {blow.signal.name}"
    if ended.code == 0:
        return f"ended in spite of {blow.signal.name}"
    return f"{blow.signal.name}: exit code {ended.code}" if ended.code is not None else "never ended"
