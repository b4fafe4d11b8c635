"""Sentences on which rows a search chose or tried, with what budgets, and what it keeps apart."""

from collections.abc import Iterator, Sequence

from activmask.ground.listed import listed
from activmask.report.findings.experiment import Experiment, full_titles
from activmask.report.findings.tuned import baselines_of, budget, is_trial, unequal
from activmask.report.findings.words import count
from activmask.runs.identity import on_other_images
from activmask.runs.names import is_baseline
from activmask.runs.toml_file import parse_seeds


def tuning_notes(rows: Sequence[Experiment]) -> Iterator[str]:
    """All such sentences; none where no search was."""
    if trials := sum(is_trial(row.run) for row in rows):
        yield (
            f"{count(trials, 'row')} {'is a trial' if trials == 1 else 'are trials'} of a search, compared "
            "with nothing: train its winner on other seeds, and compare that with winners of equal budgets."
        )
    chosen = [row for row in rows if row.run.searched and row.run.searched.winner]
    if not chosen:
        return
    titles = dict(zip(map(id, rows), full_titles(rows, rows), strict=True))
    by_budget: dict[str, list[str]] = {}
    for row in chosen:
        assert row.run.searched is not None
        over = ", ".join(f"{name} {text}" for name, text in row.run.searched.over.items())
        by_budget.setdefault(budget(row.run.searched), []).append(f"{titles[id(row)]} (over {over})")
    told = "; ".join(f"in {given}: {', '.join(named)}" for given, named in by_budget.items())
    yield f"Settings that a search chose by validation scores, {told}."
    yield from _apart_note(rows, len(by_budget) > 1, titles)
    if rest := [titles[id(row)] for row in rows if row.run.searched is None]:
        yield f"Not searched for: {', '.join(rest)}; their settings had less care than those above."
    yield from _same_seeds_note(chosen, titles)


def _apart_note(rows: Sequence[Experiment], several: bool, titles: dict[int, str]) -> Iterator[str]:
    pairs = [f"{titles[id(row)]} and {titles[id(other)]} ({why})" for row, other, why in kept_apart(rows)]
    if pairs:
        yield f"Not compared, as their budgets differ: {'; '.join(pairs)}."
    elif several:
        yield "These budgets differ, so scores under different ones say little about each other."


def kept_apart(rows: Sequence[Experiment]) -> list[tuple[Experiment, Experiment, str]]:
    """The rows that would be compared with a baseline but for unequal budgets, with it and the reason."""
    arms = [row for row in rows if not is_trial(row.run)]
    methods = [row for row in arms if not (is_baseline(row.run.config) or on_other_images(row.run.config))]
    return [
        (row, other, why)
        for row in methods
        for other in arms
        if (why := unequal(row.run, other.run)) and baselines_of(row.run, [other.run])
    ]


def _same_seeds_note(chosen: Sequence[Experiment], titles: dict[int, str]) -> Iterator[str]:
    """Which winners were trained on seeds on which they were chosen, whose luck they were chosen for."""
    found = [
        titles[id(row)]
        for row in chosen
        if row.run.searched and {*row.run.seeds} & {*parse_seeds(row.run.searched.seeds)}
    ]
    if found:
        yield (
            f"{listed(found)} {'are' if len(found) > 1 else 'is'} scored on seeds that the search chose by, "
            "too, so the scores are optimistic; other seeds would tell."
        )
