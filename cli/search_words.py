"""What a search shows: its plan, its trials while they run, and what it came to."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from .console import err, out
from .durations import duration
from .next_steps import say_next
from .progress import waiting
from .shell import command_line
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.ground.errors import ActivmaskError
    from activmask.tuning.plan import Plan
    from activmask.tuning.space import Value
    from activmask.tuning.trial import Trial

_SHOWN = 5
"""Trials of the final table, the best ones; `table` shows all."""

_PROBES = 4
"""Combinations of choices whose speed is measured; the others are taken for alike."""


class SearchProgress:
    """A line for every trial that is over; where somebody watches, how it stands below."""

    def __init__(self, plan: "Plan", now: Callable[[], float] = monotonic) -> None:
        """By a clock in seconds."""
        self._plan, self._now = plan, now
        self._told: set[int] = set()
        self._begun: tuple[float, int] | None = None
        self._stack = ExitStack()
        self._say: Callable[[str], None] | None = None

    def __enter__(self) -> "SearchProgress":
        """Begin the display."""
        self._say = self._stack.enter_context(waiting("beginning"))
        return self

    def __exit__(self, *exception: object) -> None:
        """Take it away."""
        self._stack.close()

    def show(self, trials: Sequence["Trial"]) -> None:
        """Show how the trials stand now."""
        from activmask.tuning.outcome import best_of
        from activmask.tuning.trial import OVER

        over = [one for one in trials if one.status in OVER]
        if self._begun is None:
            self._begun = self._now(), len(over)
            if over:
                err.print(f"{len(over)} of {self._plan.trials} trials were over before")
        for trial in over:
            if trial.number not in self._told and not trial.found:
                count = f"{len(over)} of {self._plan.trials}"
                err.print(f"{trial.title}: {_ended(trial)}; {count}{self._left(len(over))}")
            self._told.add(trial.number)
        best = best_of(trials, self._plan.select)
        running = sum(one.status == "running" for one in trials)
        if self._say is not None:
            told = f"{len(over)} of {self._plan.trials} trials over, {running} running"
            self._say(told + (f", best {best.score:.3f}" if best else ""))

    def _left(self, over: int) -> str:
        assert self._begun is not None
        start, before = self._begun
        missing = self._plan.trials - over
        if not missing or over <= before:
            return ""
        return f", about {duration(missing * (self._now() - start) / (over - before))} left"


def _ended(trial: "Trial") -> str:
    if trial.status == "failed":
        return f"failed twice: {trial.error.rstrip().rpartition(chr(10))[2]}"
    words = {"done": "", "pruned": "given up at ", "repeated": f"as {trial.folder.name}, "}[trial.status]
    return f"{words}{_score(trial)}"


def _score(trial: "Trial") -> str:
    return f"{trial.score:.3f}" + ("" if trial.sd is None else f" ± {trial.sd:.3f}")


def print_search_plan(plan: "Plan", parallel: int) -> bool:
    """Print where a search looks, its budget, and how long it would take here.

    Returns:
        Whether its trials could be trained, as soon as their data are there.
    """
    from activmask.report.findings.words import count
    from activmask.runs.selection import selected_by
    from activmask.training.readiness import waits_for_data
    from activmask.tuning.space import in_words, middles

    table = result_table("search", "setting", "from", "to", "sampled", texts=[1, 3])
    for one in plan.over:
        if one.ends is None:
            table.add_row(one.name, ", ".join(map(in_words, one.values)), "", "as a choice")
        else:
            table.add_row(one.name, *map(in_words, one.ends), "by its logarithm" if one.log else "evenly")
    print_table(table)
    times, could = [], True
    for values in islice(middles(plan.over), _PROBES):
        with waiting("measuring"):
            seconds, problem = _measured(plan, values, parallel)
        if problem is not None:
            err.print(f"not measured: {problem}")
            could = could and waits_for_data(plan.usual, problem)
        else:
            times.append(seconds)
    runs = plan.trials * len(plan.seeds)
    most = "" if plan.prune == "none" else " at most"
    out.print(
        f"{count(plan.trials, 'trial')} of {count(len(plan.seeds), 'seed')}, {count(runs, 'run')} of "
        f"{count(plan.epochs, 'epoch')}{most}, scored by {selected_by([plan.usual])}"
    )
    if times:
        total = sum(times) / len(times) * runs * plan.epochs / parallel
        out.print(
            f"about {duration(total)} with {parallel} at once on this machine, scaled up from a few steps of "
            "trials in the middle of the ranges, saving not counted"
        )
    return could


def _measured(
    plan: "Plan", values: dict[str, "Value"], parallel: int
) -> tuple[float, "ActivmaskError | None"]:
    from activmask.experiments.estimate import seconds_per_epoch
    from activmask.experiments.jobs import Job
    from activmask.ground.errors import ActivmaskError
    from activmask.machine.device import cores

    try:
        job = Job(name="", title="", config=plan.config(values), seeds=plan.seeds, folder=plan.folder)
        return seconds_per_epoch(job, threads=max(1, cores() // parallel)), None
    except ActivmaskError as error:
        return 0.0, error


def conclude(plan: "Plan", trials: Sequence["Trial"], winner: Path | None) -> None:
    """Print the best trials, how sure the first of them is, and whether it lies at an end."""
    from activmask.report.findings.words import count
    from activmask.runs.selection import chosen_by
    from activmask.tuning.outcome import at_ends, best_of, chance_of, rivals_of, standard_error

    for trial in trials:
        if trial.status == "failed":
            for line in f"failed twice: {trial.title}: {trial.error}".split("\n"):
                err.print(line, style="red")
    out.print(_counted(plan, trials))
    best = best_of(trials, plan.select)
    if best is None:
        return
    _print_best(plan, trials)
    chance = chance_of(best, plan.select, plan.select_on)
    beside = "" if chance is None else f" (chance {chance:.3f})"
    out.print(
        f"best: {best.title}, {chosen_by(plan.usual)} {_score(best)}{beside} over "
        f"{count(len(best.scores), 'seed')}; chosen as the best of {len(trials)}, so this score is "
        "optimistic. Test scores played no part."
    )
    error = standard_error(best)
    if error is not None:
        near = count(len(rivals_of(best, trials, plan.select)), "other trial")
        out.print(f"within one standard error of it ({error:.3f}): {near}")
    for sentence in at_ends(best, plan.over):
        err.print(f"warning: {sentence}", style="yellow")
    if winner is not None:
        train = command_line("activmask", "train", "--config", winner)
        say_next(train, command_line("activmask", "table", plan.folder))


def _counted(plan: "Plan", trials: Sequence["Trial"]) -> str:
    words = {
        "done": "scored on all seeds",
        "pruned": "given up early",
        "repeated": "the same settings as an earlier one",
        "failed": "failed",
    }
    found = [(sum(one.status == status for one in trials), said) for status, said in words.items()]
    return f"{len(trials)} of {plan.trials} trials: " + ", ".join(f"{n} {said}" for n, said in found if n)


def _print_best(plan: "Plan", trials: Sequence["Trial"]) -> None:
    from activmask.runs.selection import chosen_by
    from activmask.tuning.space import in_words

    done = sorted(
        (one for one in trials if one.status == "done"),
        key=lambda one: one.score if plan.select == "loss" else -one.score,
    )
    table = result_table(
        f"The best {min(_SHOWN, len(done))} of {len(done)}",
        "trial",
        *(one.name for one in plan.over),
        chosen_by(plan.usual),
    )
    for one in done[:_SHOWN]:
        table.add_row(str(one.number), *map(in_words, one.values.values()), _score(one))
    print_table(table)


def search_as_json(plan: "Plan", trials: Sequence["Trial"], winner: Path | None) -> str:
    """How a search ended, as JSON."""
    from activmask.ground.shown import json_text
    from activmask.tuning.outcome import at_ends, best_of, chance_of

    best = best_of(trials, plan.select)
    found = {
        "folder": str(plan.folder),
        "over": {one.name: str(one) for one in plan.over},
        "budget": {"trials": plan.trials, "seeds": list(plan.seeds), "epochs": plan.epochs},
        "prune": plan.prune,
        "sampler": plan.sampler,
        "select": plan.select,
        "select_on": plan.select_on,
        "best": best.number if best else None,
        "chance": chance_of(best, plan.select, plan.select_on) if best else None,
        "config": str(winner) if winner else None,
        "at_ends": list(at_ends(best, plan.over)) if best else [],
        "trials": [
            {
                "trial": one.number,
                "folder": str(one.folder),
                "status": one.status,
                "done_before": one.found,
                "settings": one.values,
                "score": one.score if one.scores else None,
                "scores": {str(seed): score for seed, score in one.scores.items()},
                "error": one.error or None,
            }
            for one in trials
        ],
    }
    return f"{json_text(found)}\n"
