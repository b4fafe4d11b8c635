"""How runs are named, ordered and grouped in what is shown of them."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TypeVar

from activmask.experiments.grid import read_grid
from activmask.ground.shown import shown
from activmask.runs.identity import alike
from activmask.runs.names import data_name, method_name, model_name
from activmask.runs.results import Run, saw_same_images, told_apart

Item = TypeVar("Item")

UPPER_BOUND = "Masked Everywhere"
"""Of the paper's methods the one that none of its tables has."""


@cache
def papers_methods() -> tuple[str, ...]:
    """The paper's methods in its order, by the words of `names.method_name`."""
    return (*read_grid("table1").axes["method"], UPPER_BOUND)


def grouped(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    """The items by their key, keys and items in the order they come."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def finished(runs: Sequence[Run]) -> list[Run]:
    """The runs with at least one finished seed."""
    return [run for run in runs if run.seeds]


def with_all_masks(runs: Sequence[Run]) -> list[Run]:
    """The runs whose training images all kept their masks, or where there is none simply the runs."""
    return [run for run in runs if run.config.view.masks == 1] or list(runs)


def the_data_set(runs: Sequence[Run]) -> str:
    """The name of the one data set of some runs.

    Raises:
        ValueError: they are of none or of several.
    """
    found = dict.fromkeys(data_name(run.config) for run in runs)
    if len(found) != 1:
        raise ValueError(f"expected runs of one data set, found {', '.join(found) or 'none'}")
    return next(iter(found))


def without_repeats(items: Sequence[Item], run_of: Callable[[Item], Run]) -> tuple[list[Item], str]:
    """The items without those whose experiment and seeds another run has as well.

    Returns:
        What is left, model by model and in the order of the paper's methods, and a sentence for
        captions, empty where nothing was left out.
    """
    kept: list[Item] = []
    for item in sorted(items, key=lambda one: -len(run_of(one).seeds)):
        if not any(_repeats(run_of(item), run_of(other)) for other in kept):
            kept.append(item)
    dropped = len(items) - len(kept)
    repeats = "1 run that repeats another" if dropped == 1 else f"{dropped} runs that repeat others"
    note = f" Left out: {repeats}." if dropped else ""
    left = [item for item in items if any(item is one for one in kept)]
    methods = in_order(family(run_of(item)) for item in left)
    models = grouped(left, lambda item: model_name(run_of(item).config))
    return [
        item
        for group in models.values()
        for item in sorted(group, key=lambda one: methods.index(family(run_of(one))))
    ], note


def _repeats(run: Run, other: Run) -> bool:
    return (
        alike(run.config, other.config)
        and set(run.seeds) <= set(other.seeds)
        and all(saw_same_images(run, other, seed) for seed in run.seeds)
    )


def series_names(runs: Sequence[Run]) -> list[str]:
    """For each run, as it is drawn, its method and what tells it from runs of the same names."""
    return [
        shown(f"{method_name(run.config)} ({detail})" if detail else method_name(run.config))
        for run, detail in zip(runs, told_apart(runs), strict=True)
    ]


def family(run: Run) -> str:
    """The method of a run without what varies it, for example `Actdiff` of `Actdiff, layer`."""
    return method_name(run.config).split(", ", maxsplit=1)[0]


def in_order(names: Iterable[str]) -> list[str]:
    """Different names, those of the paper's methods first and in its order."""
    ranks = {name: rank for rank, name in enumerate(papers_methods())}
    return sorted(dict.fromkeys(names), key=lambda name: ranks.get(name, len(ranks)))
