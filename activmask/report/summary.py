"""A set of runs as the paper tabulates them, beside its printed values and against their baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from activmask.config import PRESETS
from activmask.data.splits import SPLITS
from activmask.errors import CheckpointError
from activmask.evaluation.spread import Spread, spread
from activmask.experiments.grid import read_grid
from activmask.experiments.labels import is_baseline, names
from activmask.experiments.paper import paper_cell
from activmask.experiments.printed import Printed
from activmask.experiments.results import Run, told_apart
from activmask.report.baselines import Comparison, PFloor, against_baselines, p_floor
from activmask.report.data_notes import data_notes
from activmask.report.words import count, joined

MEASURES = ("auc", "accuracy")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One printed value of the paper and what this run has in its place."""

    measure: str
    """`train`, `valid`, `test` or `best_epoch`."""
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
    last: dict[str, Spread | None]
    """Validation `auc` and `accuracy` of the last epoch."""
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

    @property
    def title(self) -> str:
        """For people, for example `ResNet Actdiff`."""
        name = f"{self.model} {self.method}"
        return f"{name} ({self.distinction})" if self.distinction else name


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
        CheckpointError: a finished seed's history is missing, empty or damaged.
        UsageError: a test AUC is no number from 0 to 1.
    """
    known_by = zip(runs, told_apart(runs), against_baselines(runs), strict=True)
    unsorted = [_row(run, distinction, comparison) for run, distinction, comparison in known_by]
    rows = tuple(sorted(unsorted, key=_papers_order()))
    return Summary(rows=rows, notes=tuple(_notes(rows)))


def _row(run: Run, distinction: str, comparison: Comparison | None) -> Row:
    data, model, method = names(run.config)
    scores = {split: {name: spread(run.values(split, name)) for name in MEASURES} for split in SPLITS}
    best_epoch = spread(run.best_epochs())
    cell = paper_cell(run.config)
    printed = cell.printed if cell else {}
    return Row(
        run=run,
        data=data,
        model=model,
        method=method,
        distinction=distinction,
        scores=scores,
        last=_last(run),
        best_epoch=best_epoch,
        source=cell.source if cell else "",
        paper=printed,
        beside=tuple(_beside(printed, {**scores, "best_epoch": {"epoch": best_epoch}})),
        departures=cell.departures if cell else {},
        comparison=comparison,
    )


def _last(run: Run) -> dict[str, Spread | None]:
    histories = run.histories()
    for seed, history in histories.items():
        if not history or any(f"valid_{name}" not in history[-1] for name in MEASURES):
            raise CheckpointError(
                f"the history of seed {seed} in {run.folder} lacks the validation scores of its last epoch; "
                "overwrite the run"
            )
    return {name: spread([rows[-1][f"valid_{name}"] for rows in histories.values()]) for name in MEASURES}


def _beside(
    printed: Mapping[str, Printed], ours: Mapping[str, Mapping[str, Spread | None]]
) -> Iterable[Beside]:
    for measure, value in printed.items():
        for name, found in ours[measure].items():
            if found is not None:
                gap = found.mean - value.mean
                sds = gap / value.sd if value.sd else None
                yield Beside(measure=measure, ours=name, difference=gap, sds=sds)


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
            -row.run.config.masks,
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
            "0.00 was printed; the paper's released code computes accuracy under the name AUC, so its "
            "values are set against both, AUC first."
        )
    yield _selection_note(rows)
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


def _selection_note(rows: Sequence[Row]) -> str:
    note = (
        "Scores are those of the epoch with the best validation AUC (epochs count from 0), so the "
        "validation scores are optimistic; where a shortcut is learned that epoch is an accident, mostly "
        "the first, and the last epoch's validation scores tell more."
    )
    shifted = [row.data for row in rows if row.data == "Synthetic" or _site_correlated(row)]
    if not shifted:
        return note
    return (
        f"{note} The validation images of {joined(list(dict.fromkeys(shifted)))} are shifted from training "
        "as the test images are, so the choice of the epoch already knows of the shift."
    )


def _site_correlated(row: Row) -> bool:
    """Whether the site tells the class in training; at 0.5 it tells nothing, there or elsewhere."""
    config = row.run.config
    return config.split_policy == "site-correlated" and config.correlation != 0.5


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
        row for row in rows if row.run.seeds and not (row.comparison or is_baseline(row.run.config))
    ]:
        yield (
            f"Not compared, for want of classification alone with the same data, network and settings and "
            f"a common finished seed: {', '.join(full_titles(alone, rows))}."
        )
