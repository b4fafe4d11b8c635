"""Runs whose settings a search chose, and whom they may be compared with.

A method that was searched for longer than its baseline looks better for that alone, so arms are compared
after equal budgets or not at all.
"""

from collections.abc import Iterable

from activmask.report.findings.words import count
from activmask.runs.description import RunConfig, changed, flat
from activmask.runs.identity import alike_elsewhere
from activmask.runs.names import baseline, method_settings
from activmask.runs.results import Run
from activmask.runs.searched import Searched
from activmask.runs.toml_file import parse_seeds


def is_trial(run: Run) -> bool:
    """Whether a run is a trial of a search, which is none of the arms that are compared."""
    return run.searched is not None and not run.searched.winner


def baselines_of(run: Run, runs: Iterable[Run]) -> list[Run]:
    """Those that are a run without its method but, perhaps, for their data, after whatever search.

    Of two winners each search may have chosen its own value of a setting that both looked for.
    """
    wanted = baseline(run.config)
    return [other for other in runs if alike_elsewhere(_with_chosen(wanted, run, other), other.config)]


def _with_chosen(wanted: RunConfig, run: Run, other: Run) -> RunConfig:
    """A baseline with the other's values of the settings that both searches chose."""
    if run.searched is None or other.searched is None:
        return wanted
    of_method = set(method_settings())
    both = [name for name in run.searched.over if name in other.searched.over and name not in of_method]
    return changed(wanted, **{name: flat(other.config)[name] for name in both})


def unequal(run: Run, other: Run) -> str:
    """A clause on how the care for the settings of two runs differs; empty where it does not.

    Equal are two that were not searched for, and two winners after as many trials of as many seeds and
    epochs, by the same score, sampler and pruning, that looked for what both looked for in the same ranges.
    """
    one, two = run.searched, other.searched
    if one is None and two is None:
        return ""
    if one is None or two is None:
        return f"{budget(one) if one else 'no search'} against {budget(two) if two else 'no search'}"
    if budget(one) != budget(two):
        return f"{budget(one)} against {budget(two)}"
    for name in one.over.keys() & two.over.keys():
        if one.over[name] != two.over[name]:
            return f"{name} over {one.over[name]} against {two.over[name]}"
    return ""


def budget(one: Searched) -> str:
    """What a search was given, for example `20 trials (tpe) of 3 seeds and 30 epochs, by loss`."""
    seeds, epochs = count(len(parse_seeds(one.seeds)), "seed"), count(one.epochs, "epoch")
    score = one.select if one.select_on == "valid" else f"{one.select} on {one.select_on}"
    pruned = "" if one.prune == "none" else f", pruned by {one.prune}"
    return f"{count(one.trials, 'trial')} ({one.sampler}) of {seeds} and {epochs}, by {score}{pruned}"
