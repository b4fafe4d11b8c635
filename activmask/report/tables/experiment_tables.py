"""The tables of scores, forms and differences from the baseline, one data set at a time."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from activmask.data.groups import FEWEST
from activmask.data.splits import SPLITS
from activmask.report.findings.baselines import SIGNIFICANT, Comparison
from activmask.report.findings.by_form import COLUMNS as FORM_COLUMNS
from activmask.report.findings.by_form import InForms, by_form, form_names
from activmask.report.findings.experiment import Beside, Experiment
from activmask.report.findings.summary import Summary
from activmask.report.findings.words import interval, p_value, signed
from activmask.report.tables.choice_table import choice_table
from activmask.report.tables.experiment_cells import EXPERIMENT, epoch_cell, experiment_row, spread_cell
from activmask.report.tables.table import Cell, Column, Row, Table
from activmask.runs.entries import MEASURES
from activmask.runs.selection import Epoch, chosen_by

_TITLES = {"auc": "AUC", "accuracy": "accuracy"}

_BRIEF: dict[Epoch, set[tuple[str, str]]] = {
    "best": {("train", "auc"), ("valid", "auc"), ("test", "auc"), ("test", "accuracy")},
    "last": {("train", "accuracy"), ("valid", "auc"), ("valid", "accuracy")},
}
"""The scores that a narrow table has even where nothing is printed to set them against."""

_DISTANCES = "With a number stands its distance to the printed one of the same epoch."
_SEEDS = "Counts such as 9/0/1 are of seeds: counted the crosses, sat at chance, took the box."

_WORST = (
    "The worst group is that of the least accuracy among groups (class and column) of at least "
    f"{FEWEST} test images; the least of several is low by chance too, which stands with it."
)

Field = tuple[Column, Callable[[Experiment], Cell]]
"""A column and how an experiment's cell in it is made."""


def experiment_tables(summary: Summary) -> list[Table]:
    """All tables of a summary, data set by data set."""
    return [table for data in summary.data_sets for table in tables_of(data, summary.of(data))]


def tables_of(data: str, experiments: Sequence[Experiment]) -> list[Table]:
    """The tables of one data set: scores at the best and last epoch; choices, forms and differences if any.

    Args:
        data: its name.
        experiments: of that data set, at least one.
    """
    makers = (score_table, last_table, choice_table, forms_table, difference_table)
    tables = [make(data, experiments) for make in makers]
    return [table for table in tables if table is not None]


def score_table(data: str, experiments: Sequence[Experiment]) -> Table:
    """The scores of one data set's experiments at the best epoch, beside the printed ones.

    Args:
        data: its name.
        experiments: at least one.
    """
    choices = list(dict.fromkeys(chosen_by(one.run.config) for one in experiments))
    printed = any(printed_at(one, "best_epoch", "best") for one in experiments)
    group = "Best epoch" if printed else ""
    fields: list[Field] = [
        _SEEDS_FIELD,
        *([(Column(title="Best epoch by", numeric=False), _selection)] if len(choices) > 1 else []),
        (Column(title="here" if printed else "Best epoch", group=group), _best_epoch),
        *([_paper_field("best_epoch", "best", group, brief=False)] if printed else []),
        *_score_fields(experiments, "best"),
    ]
    title = f"{_beside(data, experiments, 'best')}; best epoch by {' or '.join(choices)}"
    return _table("scores", title, experiments, fields, _small_print(experiments, "best"))


def last_table(data: str, experiments: Sequence[Experiment]) -> Table:
    """The same scores at the last epoch, beside those printed ones that are of it."""
    title = f"{_beside(data, experiments, 'last')}; last epoch"
    fields = [_SEEDS_FIELD, *_score_fields(experiments, "last")]
    return _table("last", title, experiments, fields, _small_print(experiments, "last"))


def _table(
    kind: str,
    title: str,
    experiments: Sequence[Experiment],
    fields: Sequence[Field],
    notes: tuple[str, ...] = (),
) -> Table:
    return Table(
        kind=kind,
        title=title,
        columns=(EXPERIMENT, *(column for column, _ in fields)),
        rows=tuple(experiment_row(one, [cell(one) for _, cell in fields]) for one in experiments),
        notes=notes,
    )


def _beside(data: str, experiments: Sequence[Experiment], epoch: Epoch) -> str:
    printed = [one for one in experiments if any(value.epoch == epoch for value in one.paper.values())]
    sources = dict.fromkeys(one.source for one in printed)
    return f"{data}, beside {' and '.join(sources)}" if sources else data


def _small_print(experiments: Sequence[Experiment], epoch: Epoch) -> tuple[str, ...]:
    distances = any(beside.epoch == epoch for one in experiments for beside in one.beside)
    seeds = any(one.seeds_at.get(epoch) for one in experiments)
    grouped = any(one.worst_groups.get(epoch) for one in experiments)
    asked = {_DISTANCES: distances, _SEEDS: seeds, _WORST: grouped}
    return tuple(note for note, on in asked.items() if on)


def _score_fields(experiments: Sequence[Experiment], epoch: Epoch) -> Iterator[Field]:
    for split in SPLITS:
        group = f"{split.capitalize()}, {epoch} epoch"
        printed = any(printed_at(one, split, epoch) for one in experiments)
        for score in MEASURES:
            brief = printed or (split, score) in _BRIEF[epoch]
            column = Column(title=_TITLES[score], group=group, brief=brief)
            yield column, partial(score_cell, split=split, epoch=epoch, score=score)
        if split == "test" and any(one.worst_groups.get(epoch) for one in experiments):
            column = Column(title="worst group's accuracy", group=group)
            yield column, partial(worst_group_cell, epoch=epoch)
        if printed:
            yield _paper_field(split, epoch, group)


def _paper_field(measure: str, epoch: Epoch, group: str, *, brief: bool = True) -> Field:
    column = Column(title="paper", group=group, printed=True, brief=brief)
    return column, partial(paper_cell, measure=measure, epoch=epoch)


def _seeds(one: Experiment) -> Cell:
    finished = len(one.run.seeds)
    others = {"unfinished": one.run.unfinished, "unreadable": one.run.unreadable}
    details = tuple(f"{len(seeds)} {what}" for what, seeds in others.items() if seeds)
    return Cell(text=str(finished), key=str(finished), details=details)


_SEEDS_FIELD: Field = (Column(title="Seeds"), _seeds)


def _selection(one: Experiment) -> Cell:
    by = chosen_by(one.run.config)
    return Cell(text=by, key=by)


def _best_epoch(one: Experiment) -> Cell:
    return epoch_cell(one.best_epoch, details=_distances(one, "best_epoch", "best", "epoch"))


def score_cell(one: Experiment, *, split: str, epoch: Epoch, score: str) -> Cell:
    """A score's mean and SD, with its distance to the printed one.

    With an accuracy on the synthetic images stands where the seeds ended, with a mean test AUC over labels
    its interval.
    """
    scores = one.scores if epoch == "best" else one.last
    ended = one.seeds_at.get(epoch, {}).get(split) if score == "accuracy" else None
    seeds = () if ended is None else (str(ended),)
    ends = one.mean_intervals.get(epoch) if (split, score) == ("test", "auc") else None
    between = () if ends is None else (f"{ends[0]:.2f} to {ends[1]:.2f}",)
    details = (*seeds, *between, *_distances(one, split, epoch, score))
    return spread_cell(scores[split][score], details=details)


def worst_group_cell(one: Experiment, *, epoch: Epoch) -> Cell:
    """The worst group's accuracy, by which column, and what it would be by chance."""
    found = one.worst_groups.get(epoch)
    if found is None:
        return Cell()
    return spread_cell(found.accuracy, details=(f"by {found.by}, {found.chance:.2f} by chance",))


def paper_cell(one: Experiment, *, measure: str, epoch: Epoch) -> Cell:
    """What the paper printed of a measure at the end of an epoch, and where its seeds ended."""
    if not printed_at(one, measure, epoch):
        return Cell()
    ended = one.papers_seeds_at.get(measure)
    return spread_cell(one.paper[measure], details=() if ended is None else (str(ended),))


def printed_at(one: Experiment, measure: str, epoch: Epoch) -> bool:
    """Whether the paper printed a measure, and at the end of that epoch."""
    return measure in one.paper and one.paper[measure].epoch == epoch


def _distances(one: Experiment, measure: str, epoch: Epoch, ours: str) -> tuple[str, ...]:
    wanted = (measure, epoch, ours)
    return tuple(
        _distance(beside) for beside in one.beside if (beside.measure, beside.epoch, beside.ours) == wanted
    )


def _distance(beside: Beside) -> str:
    if beside.sds is None:
        return f"Δ{signed(beside.difference)}"
    return f"{signed(beside.sds, digits=1)} SD"


def forms_table(data: str, experiments: Sequence[Experiment]) -> Table | None:
    """The accuracies of methods that were run in several forms, side by side, or None without such.

    Args:
        data: its name.
        experiments: of that data set.
    """
    groups = by_form(experiments)
    if not groups:
        return None
    names = form_names(groups)
    columns = [
        Column(title=f"{split}, {epoch} epoch", group=f"{name[0].upper()}{name[1:]}", printed=name == "paper")
        for name in [*names, "paper"]
        for split, epoch in FORM_COLUMNS
    ]
    return Table(
        kind="forms",
        title=f"{data}, accuracy by form",
        columns=(EXPERIMENT, *columns),
        rows=tuple(
            Row(
                title=one.title,
                model=one.any_form.model,
                method=one.any_form.method,
                cells=_forms(one, names),
            )
            for one in groups
        ),
    )


def _forms(one: InForms, names: Sequence[str]) -> tuple[Cell, ...]:
    ours = [
        score_cell(one.by_name[name], split=split, epoch=epoch, score="accuracy")
        if name in one.by_name
        else Cell()
        for name in names
        for split, epoch in FORM_COLUMNS
    ]
    papers = [paper_cell(one.any_form, measure=split, epoch=epoch) for split, epoch in FORM_COLUMNS]
    return (*ours, *papers)


def difference_table(data: str, experiments: Sequence[Experiment]) -> Table | None:
    """How far each experiment of one data set lies from its baseline, or None without a comparison.

    Args:
        data: its name.
        experiments: of that data set.
    """
    compared = [(one, one.comparison) for one in experiments if one.comparison is not None]
    if not compared:
        return None
    titles = ("Seeds in common", "Test AUC, method minus baseline", "95 % interval", "p", "p after Holm")
    return Table(
        kind="differences",
        title=f"{data}, difference from the baseline",
        columns=(EXPERIMENT, *(Column(title=title) for title in titles)),
        rows=tuple(experiment_row(one, _comparison(comparison)) for one, comparison in compared),
    )


def _comparison(comparison: Comparison) -> list[Cell]:
    found = comparison.difference
    return [
        Cell(text=str(found.n), key=str(found.n)),
        Cell(text=signed(found.mean), key=f"{found.mean:.6g}"),
        Cell(text=interval(found.low, found.high), key=None if found.low is None else f"{found.low:.6g}"),
        Cell(text=p_value(found.p), key=f"{found.p:.6g}"),
        Cell(
            text=p_value(comparison.adjusted_p),
            key=f"{comparison.adjusted_p:.6g}",
            strong=comparison.adjusted_p < SIGNIFICANT,
        ),
    ]
