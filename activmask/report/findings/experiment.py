"""One experiment: its scores over seeds, beside what the paper printed and against its baseline."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread, spread
from activmask.experiments.forms import form_of, form_title
from activmask.experiments.outcomes import Outcomes, decoded, outcomes
from activmask.experiments.paper import box_lies, run_cell
from activmask.experiments.printed import Printed
from activmask.report.findings.baselines import Comparison, PFloor, p_floor
from activmask.runs.description import flat
from activmask.runs.entries import AUC_INTERVAL, MEASURES
from activmask.runs.names import names
from activmask.runs.results import Run
from activmask.runs.selection import EPOCHS, Epoch

PAPERS_FIRST = ("accuracy", "auc", "epoch")
"""What a printed value is set against, in this order: the paper's AUC is accuracy."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One printed value of the paper and what this run has in its place."""

    measure: str
    """`train`, `valid`, `test` or `best_epoch`."""
    epoch: Epoch
    """At the end of which both were measured."""
    ours: str
    """What is set against it: `auc`, `accuracy`, or `epoch` for the best epoch."""
    difference: float
    """Our mean minus the printed one."""
    sds: float | None
    """The same in the paper's SDs; None where it printed none, or 0.00."""


@dataclass(frozen=True, kw_only=True)
class WorstGroups:
    """The worst group of each seed."""

    by: str
    """The column that makes groups of the images of a class; foreign text."""
    accuracy: Spread
    """Of each seed's worst group, which need not be the same."""
    chance: float
    """The mean of what it would be if the column's values told nothing."""
    groups: tuple[dict[str, Any], ...]
    """Each seed's worst group, as `metrics.json` tells of it."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment: its scores over seeds and what they stand beside."""

    run: Run
    data: str
    model: str
    method: str
    distinction: str
    """The settings that tell it from another row of the same names; mostly empty."""
    scores: dict[str, dict[str, Spread | None]]
    """By split (`train`, `valid`, `test`), then `auc` or `accuracy`, at the best epoch."""
    last: dict[str, dict[str, Spread | None]]
    """The same at the last epoch, over the seeds whose folders hold them."""
    best_epoch: Spread | None
    """Counted from 0."""
    source: str
    """Where the paper's values stand, for example `paper Table 2`; empty without any."""
    paper: dict[str, Printed]
    """The printed values by measure; empty where the paper printed none."""
    beside: tuple[Beside, ...]
    """Each printed value beside ours; empty too without a finished seed."""
    departures: dict[str, tuple[object, object]]
    """Settings in which the run departs from the paper's: its own value and the paper's."""
    comparison: Comparison | None
    """None for a baseline, and where none of the runs is its baseline with a common seed."""
    form: str = ""
    """How actdiff and gradmask are computed, see `forms.form_of`; empty without them."""
    seeds_at: dict[Epoch, dict[str, Outcomes]] = field(default_factory=dict)
    """Where the seeds ended, by epoch and split; empty for other data than the synthetic benchmark."""
    worst_groups: dict[Epoch, WorstGroups] = field(default_factory=dict)
    """The worst group's accuracy on the test images, by epoch; empty where they are in no groups."""
    mean_intervals: dict[Epoch, tuple[float, float]] = field(default_factory=dict)
    """The ends of the 95 % interval over subjects of the mean test AUC over labels, themselves means over
    seeds, by epoch; empty where classes exclude each other, or a seed has none."""
    papers_seeds_at: dict[str, Outcomes] = field(default_factory=dict)
    """The same of the printed values, by measure, where they can be taken apart."""

    @property
    def title(self) -> str:
        """For people, for example `ResNet Actdiff`."""
        name = f"{self.model} {self.method}"
        return f"{name} ({self.distinction})" if self.distinction else name

    @property
    def anchor(self) -> str:
        """Of a page, by which its row is known; no two experiments have the same."""
        whole = json.dumps([flat(self.run.config), str(self.run.folder), self.run.apart], sort_keys=True)
        return f"run-{hashlib.sha256(whole.encode(errors='surrogatepass')).hexdigest()[:12]}"

    @property
    def details(self) -> str:
        """What tells it from the paper's row and from its namesakes, for example `released form`."""
        form = form_title(self.form) if self.form and self.paper else ""
        return ", ".join(filter(None, [form, self.distinction]))

    @property
    def full_title(self) -> str:
        """With the form beside which the paper's values stand, for example `UNet Actdiff (released form)`."""
        name = f"{self.model} {self.method}"
        return f"{name} ({self.details})" if self.details else name


def experiment_of(run: Run, distinction: str, comparison: Comparison | None) -> Experiment:
    """A run with its scores over seeds and what they stand beside.

    Args:
        run: with or without finished seeds.
        distinction: the settings that tell it from another run of the same names.
        comparison: with its baseline.

    Raises:
        CheckpointError: a finished seed's history is damaged.
    """
    data, model, method = names(run.config)
    scores = {split: {name: spread(run.values(split, name)) for name in MEASURES} for split in SPLITS}
    last = {split: {name: spread(run.last_values(split, name)) for name in MEASURES} for split in SPLITS}
    best_epoch = spread(run.best_epochs())
    cell = run_cell(run)
    printed = cell.printed if cell else {}
    ours: dict[Epoch, Means] = {"best": {**scores, "best_epoch": {"epoch": best_epoch}}, "last": last}
    crosses = box_lies(run)
    return Experiment(
        run=run,
        data=data,
        model=model,
        method=method,
        distinction=distinction,
        scores=scores,
        last=last,
        best_epoch=best_epoch,
        source=cell.source if cell else "",
        paper=printed,
        beside=tuple(_beside(printed, ours)),
        departures=cell.departures if cell else {},
        comparison=comparison,
        form=form_of(run.config),
        seeds_at=_seeds_at(run) if crosses else {},
        worst_groups=_worst_groups(run),
        mean_intervals=_mean_intervals(run),
        papers_seeds_at=_decoded(printed, cell.seeds) if crosses and cell else {},
    )


def _seeds_at(run: Run) -> dict[Epoch, dict[str, Outcomes]]:
    values = {"best": run.values, "last": run.last_values}
    return {
        epoch: {split: outcomes(found) for split in SPLITS if (found := values[epoch](split, "accuracy"))}
        for epoch in EPOCHS
    }


def _worst_groups(run: Run) -> dict[Epoch, WorstGroups]:
    told = {epoch: run.worst_groups("test", epoch) for epoch in EPOCHS}
    found = {}
    for epoch, seeds in told.items():
        accuracy = spread([one["worst"]["accuracy"] for one in seeds])
        chance = spread([one["chance"] for one in seeds])
        if accuracy is not None and chance is not None:
            worst = tuple(one["worst"] for one in seeds)
            found[epoch] = WorstGroups(by=seeds[0]["by"], accuracy=accuracy, chance=chance.mean, groups=worst)
    return found


def _mean_intervals(run: Run) -> dict[Epoch, tuple[float, float]]:
    found: dict[Epoch, tuple[float, float]] = {}
    scores: dict[Epoch, Iterable[Mapping[str, Any]]] = {
        "best": run.metrics.values(),
        "last": run.last_scores.values(),
    }
    for epoch, of_seeds in scores.items():
        told = [one.get("test", {}).get(AUC_INTERVAL, {}) for one in of_seeds]
        low, high = ([one.get(end) for one in told] for end in ("low", "high"))
        if told and None not in (*low, *high):
            found[epoch] = (fmean(map(float, low)), fmean(map(float, high)))
    return found


def _decoded(printed: Mapping[str, Printed], seeds: int) -> dict[str, Outcomes]:
    found = {name: decoded(value.mean, value.sd, seeds) for name, value in printed.items() if name in SPLITS}
    return {name: one for name, one in found.items() if one is not None}


Means = Mapping[str, Mapping[str, Spread | None]]
"""Of a split or of the best epoch, the mean of each quantity by its name."""


def _beside(printed: Mapping[str, Printed], ours: Mapping[Epoch, Means]) -> Iterable[Beside]:
    for measure, value in printed.items():
        found = ours[value.epoch][measure]
        for name in PAPERS_FIRST:
            if one := found.get(name):
                gap = one.mean - value.mean
                sds = gap / value.sd if value.sd else None
                yield Beside(measure=measure, epoch=value.epoch, ours=name, difference=gap, sds=sds)


def full_titles(some: Sequence[Experiment], rows: Sequence[Experiment]) -> list[str]:
    """The titles of some rows, with the data set where all the rows are of several."""
    several = len({row.data for row in rows}) > 1
    return [f"{row.data} {row.title}" if several else row.title for row in some]


def p_floors(rows: Sequence[Experiment]) -> dict[str, PFloor]:
    """How small p can get, by data set, of those with a comparison."""
    compared: dict[str, list[Comparison]] = {}
    for row in rows:
        if row.comparison:
            compared.setdefault(row.data, []).append(row.comparison)
    return {data: p_floor(group) for data, group in compared.items()}
