"""A set of runs as the paper tabulates them, beside its printed values and against their baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from activmask.data.presets import PRESETS
from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread, spread
from activmask.experiments.forms import form_of, form_title
from activmask.experiments.grid import read_grid
from activmask.experiments.outcomes import Outcomes, decoded, outcomes
from activmask.experiments.paper import paper_cell
from activmask.experiments.printed import EPOCHS, Epoch, Printed
from activmask.report.findings.baselines import Comparison, PFloor, against_baselines, p_floor
from activmask.report.findings.data_notes import data_notes
from activmask.report.findings.mask_notes import mask_notes
from activmask.report.findings.notes import (
    epoch_notes,
    form_notes,
    image_notes,
    outcome_notes,
    selection_note,
)
from activmask.report.findings.words import count
from activmask.runs.folder import MEASURES
from activmask.runs.identity import on_other_images
from activmask.runs.names import is_baseline, names
from activmask.runs.results import Run, told_apart

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
class Row:
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
    papers_seeds_at: dict[str, Outcomes] = field(default_factory=dict)
    """The same of the printed values, by measure, where they can be taken apart."""

    @property
    def title(self) -> str:
        """For people, for example `ResNet Actdiff`."""
        name = f"{self.model} {self.method}"
        return f"{name} ({self.distinction})" if self.distinction else name

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


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Any set of runs as a table."""

    rows: tuple[Row, ...]
    """By data set, model and method, each in the paper's order."""
    notes: tuple[str, ...]
    """Sentences to print under the table."""

    @property
    def data_sets(self) -> list[str]:
        """The data sets in the order of the rows."""
        return list(dict.fromkeys(row.data for row in self.rows))

    def of(self, data: str) -> list[Row]:
        """The rows of one data set."""
        return [row for row in self.rows if row.data == data]

    @property
    def compared(self) -> list[Row]:
        """The rows with a comparison; of rows that share one, as repeats do, the first."""
        first: dict[int, Row] = {}
        for row in self.rows:
            if row.comparison:
                first.setdefault(id(row.comparison), row)
        return list(first.values())


def summarise(runs: Sequence[Run]) -> Summary:
    """Tabulate runs: scores over seeds, the paper's values, and the paired test against each baseline.

    Raises:
        CheckpointError: a finished seed's history is damaged.
        UsageError: a test AUC is no number from 0 to 1.
    """
    known_by = zip(runs, told_apart(runs), against_baselines(runs), strict=True)
    unsorted = [_row(run, distinction, comparison) for run, distinction, comparison in known_by]
    rows = tuple(sorted(unsorted, key=_papers_order()))
    return Summary(rows=rows, notes=tuple(_notes(rows)))


def _row(run: Run, distinction: str, comparison: Comparison | None) -> Row:
    data, model, method = names(run.config)
    scores = {split: {name: spread(run.values(split, name)) for name in MEASURES} for split in SPLITS}
    last = {split: {name: spread(run.last_values(split, name)) for name in MEASURES} for split in SPLITS}
    best_epoch = spread(run.best_epochs())
    cell = paper_cell(run.config)
    printed = cell.printed if cell else {}
    ours: dict[Epoch, Measured] = {"best": {**scores, "best_epoch": {"epoch": best_epoch}}, "last": last}
    crosses = data.lower().startswith("synthetic")
    return Row(
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
        papers_seeds_at=_decoded(printed, cell.seeds) if crosses and cell else {},
    )


def _seeds_at(run: Run) -> dict[Epoch, dict[str, Outcomes]]:
    values = {"best": run.values, "last": run.last_values}
    return {
        epoch: {split: outcomes(found) for split in SPLITS if (found := values[epoch](split, "accuracy"))}
        for epoch in EPOCHS
    }


def _decoded(printed: Mapping[str, Printed], seeds: int) -> dict[str, Outcomes]:
    found = {name: decoded(value.mean, value.sd, seeds) for name, value in printed.items() if name in SPLITS}
    return {name: one for name, one in found.items() if one is not None}


Measured = Mapping[str, Mapping[str, Spread | None]]
"""Of a split or of the best epoch, what was measured by its name."""


def _beside(printed: Mapping[str, Printed], ours: Mapping[Epoch, Measured]) -> Iterable[Beside]:
    for measure, value in printed.items():
        found = ours[value.epoch][measure]
        for name in PAPERS_FIRST:
            if one := found.get(name):
                gap = one.mean - value.mean
                sds = gap / value.sd if value.sd else None
                yield Beside(measure=measure, epoch=value.epoch, ours=name, difference=gap, sds=sds)


def _papers_order() -> Callable[[Row], tuple[object, ...]]:
    """A sorting key: the paper's data sets, models and methods in its order, then others by name."""
    axes = read_grid("table1").axes
    models, methods = list(axes["model"]), list(axes["method"])

    def order(row: Row) -> tuple[object, ...]:
        base = row.method.split(",")[0]
        return (
            *_rank(row.data.lower(), list(PRESETS)),
            row.data,
            *_rank(row.model, models),
            *_rank(base, methods),
            -row.run.config.view.masks,
            row.method,
            row.distinction,
        )

    return order


def _rank(name: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known)), name


def _notes(rows: Sequence[Row]) -> Iterable[str]:
    yield from _departure_notes(rows)
    if any(row.beside for row in rows):
        yield (
            "Distances are ours minus the printed mean in printed SDs, or plain and marked Δ where none or "
            "0.00 was printed, each at the epoch that its column names; the paper's released code computes "
            "accuracy under the name AUC, so its values are set against both, accuracy first."
        )
    if any(row.source.startswith("follow-up") for row in rows):
        yield "The follow-up's printed values are ROC AUC."
    yield from form_notes(rows)
    yield from outcome_notes(rows)
    yield selection_note(rows)
    yield from epoch_notes(rows)
    yield from image_notes(rows)
    yield from mask_notes([row.run for row in rows], full_titles(rows, rows))
    yield from _comparison_notes(rows)
    comparisons = [(row.run, row.comparison) for row in rows]
    yield from data_notes(comparisons, full_titles(rows, rows))
    if unfinished := [row for row in rows if row.run.unfinished]:
        listed = "; ".join(
            f"{name} {', '.join(str(seed) for seed in row.run.unfinished)}"
            for name, row in zip(full_titles(unfinished, rows), unfinished, strict=True)
        )
        yield f"Unfinished seeds are left out: {listed}."


def full_titles(some: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """The titles of some rows, with the data set where all the rows are of several."""
    several = len({row.data for row in rows}) > 1
    return [f"{row.data} {row.title}" if several else row.title for row in some]


def _departure_notes(rows: Sequence[Row]) -> Iterable[str]:
    """One sentence for all rows that depart from the paper in the same settings."""
    printed = [row for row in rows if row.paper]
    who: dict[str, list[Row]] = {}
    for row in printed:
        for name, (ours, papers) in row.departures.items():
            who.setdefault(f"{name} {_setting(ours)} (paper {_setting(papers)})", []).append(row)
    sentences: dict[str, list[str]] = {}
    for departure, some in sorted(who.items(), key=lambda item: -len(item[1])):
        sentences.setdefault(_subject(some, printed), []).append(departure)
    for subject, departures in sentences.items():
        yield f"Departing from the paper, {subject}: {', '.join(departures)}."


def _subject(some: Sequence[Row], printed: Sequence[Row]) -> str:
    if len(some) == len(printed):
        return "every row that it printed"
    models = {row.model for row in some}
    if len(some) == sum(row.model in models for row in printed):
        return f"every row of {', '.join(dict.fromkeys(row.model for row in some))}"
    return ", ".join(full_titles(some, printed))


def _setting(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def p_floors(rows: Sequence[Row]) -> dict[str, PFloor]:
    """How small p can get, by data set, of those with a comparison."""
    compared: dict[str, list[Comparison]] = {}
    for row in rows:
        if row.comparison:
            compared.setdefault(row.data, []).append(row.comparison)
    return {data: p_floor(group) for data, group in compared.items()}


def _comparison_notes(rows: Sequence[Row]) -> Iterable[str]:
    floors = p_floors(rows)
    if floors:
        reached = " ".join(
            f"On {data}, with {floor.seeds_in_words('paired seed')}, p cannot fall below {floor.p:.3g}, nor, "
            f"after Holm's correction for {count(floor.family, 'comparison')}, below {floor.adjusted:.3g}."
            for data, floor in floors.items()
        )
        yield (
            f"{reached} The intervals are Student's, which few seeds can make too narrow; none is given "
            "where all seeds differ alike. Where interval and p disagree, trust p."
        )
    if alone := [
        row
        for row in rows
        if row.run.seeds
        and not (row.comparison or is_baseline(row.run.config) or on_other_images(row.run.config))
    ]:
        yield (
            f"Not compared, for want of classification alone with the same data, network and settings and "
            f"a common finished seed: {', '.join(full_titles(alone, rows))}."
        )
