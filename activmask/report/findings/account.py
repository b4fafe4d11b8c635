"""What was run: data sets, models, methods, seeds, machines and versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from activmask.data.settings import IN_MEMORY
from activmask.report.findings.experiment import full_titles
from activmask.report.findings.series import grouped
from activmask.report.findings.summary import Summary
from activmask.report.findings.words import count
from activmask.runs.folder import read_facts, seed_folder
from activmask.runs.names import data_name
from activmask.runs.results import Run
from activmask.runs.selection import chosen_by

MOST_NAMED = 4
"""Experiments that a line names; more are counted."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A term and what is to be said of it, in one or several lines."""

    title: str
    lines: tuple[str, ...]


def account(summary: Summary) -> tuple[Fact, ...]:
    """Everything that was trained, term by term; terms of which nothing is to be said are left out.

    Raises:
        CheckpointError: a run's description is missing or damaged.
    """
    runs = [row.run for row in summary.rows]
    described, titles = [_description(run) for run in runs], full_titles(summary.rows, summary.rows)
    facts = {
        "Experiments": [_extent(runs)],
        "Data": _data(runs, described),
        "Models": [_listed(row.model for row in summary.rows)],
        "Methods": [_listed(row.method for row in summary.rows)],
        "Seeds": _by_value(titles, [_seeds(run.seeds) for run in runs]),
        "Best epoch by": _by_value(titles, [chosen_by(run.config) for run in runs]),
        "Epochs": _by_value(titles, [str(run.config.training.epochs) for run in runs]),
        "Unfinished": [
            f"{title}: seed {_seeds(run.unfinished)}"
            for title, run in zip(titles, runs, strict=True)
            if run.unfinished
        ],
        "Unreadable": [one.why for one in summary.unreadable],
        "In the paper": [_repeated(summary)],
        "Device": _by_value(titles, [str(one["device"]) for one in described]),
        "Versions": _by_value(titles, [_versions(one["versions"]) for one in described]),
    }
    return tuple(Fact(title=title, lines=tuple(lines)) for title, lines in facts.items() if lines)


def _description(run: Run) -> dict[str, Any]:
    seed = (*run.seeds, *run.unfinished, *run.unreadable)[0]
    return read_facts(seed_folder(run.folder, seed), ("images", "image_size", "device", "versions"))


def _extent(runs: Sequence[Run]) -> str:
    networks = sum(len(run.seeds) for run in runs)
    return f"{count(len(runs), 'experiment')}, {count(networks, 'trained network')} in all"


def _data(runs: Sequence[Run], described: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for run, one in zip(runs, described, strict=True):
        images = ", ".join(f"{split} {number}" for split, number in one["images"].items())
        side = one["image_size"]
        source = "drawn in memory" if run.config.source.data == IN_MEMORY else run.config.source.data
        lines.append(f"{data_name(run.config)} ({source}): {images} images of {side} x {side} px")
    return list(dict.fromkeys(lines))


def _repeated(summary: Summary) -> str:
    sources = _listed(row.source for row in summary.rows if row.paper)
    repeated = sum(bool(row.paper) for row in summary.rows)
    if not repeated:
        return "no value is printed for any of these experiments"
    return (
        f"{repeated} of {len(summary.rows)}, in {sources}; how they depart from it stands under their scores"
    )


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _by_value(titles: Sequence[str], values: Sequence[str]) -> list[str]:
    """One line per value, with the runs that have it where not all share it."""
    groups = grouped(zip(values, titles, strict=True), lambda one: one[0])
    if len(groups) == 1:
        return list(groups)
    return [f"{value}: {_named([title for _, title in group])}" for value, group in groups.items()]


def _named(titles: Sequence[str]) -> str:
    if len(titles) <= MOST_NAMED:
        return _listed(titles)
    return f"{_listed(titles[:MOST_NAMED])} and {len(titles) - MOST_NAMED} more"


def _listed(names: Iterable[str]) -> str:
    """Names with semicolons between, as some have commas in them."""
    return "; ".join(dict.fromkeys(names))


def _seeds(seeds: Sequence[int]) -> str:
    if not seeds:
        return "none finished"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
