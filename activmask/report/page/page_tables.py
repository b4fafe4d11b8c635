"""The tables of scores and of differences from the baseline, as the page shows them."""

from collections.abc import Sequence

from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread
from activmask.experiments.printed import Epoch
from activmask.report.findings.baselines import Comparison
from activmask.report.findings.summary import Beside
from activmask.report.findings.summary import Row as Experiment
from activmask.report.page.html import Cell, Row, Table, columns
from activmask.report.tables.form_table import COLUMNS as FORM_COLUMNS
from activmask.report.tables.form_table import FormRows, by_form, form_names
from activmask.report.tables.text_tables import printed_at
from activmask.runs.selection import SELECTED_BY, selected_by

SIGNIFICANT = 0.05
"""A Holm-adjusted p below it counts as a difference."""

EMPTY = Cell(text="–")

_DISTANCES = "Small print under a number is its distance to the printed one of the same epoch."
_SEEDS = "Counts such as 9/0/1 are of seeds: counted the crosses, sat at chance, took the box."


PrintedAt = set[tuple[str, Epoch]]
SELECTION = "Best epoch by"


def score_table(data: str, experiments: Sequence[Experiment]) -> Table:
    """The scores of one data set's experiments at the best epoch, beside the printed ones.

    Args:
        data: its name.
        experiments: at least one.
    """
    selects = list(dict.fromkeys(one.run.config.training.select for one in experiments))
    printed = _printed(experiments)
    with_epoch = ("best_epoch", "best") in printed
    several = len(selects) > 1
    first = (
        ("Experiment", ()),
        ("Seeds", ()),
        *([(SELECTION, ())] if several else []),
        ("Best epoch", ("here", "paper") if with_epoch else ()),
    )
    return Table(
        name="scores",
        title=f"{_beside(data, experiments)}; best epoch by {selected_by(selects)}",
        groups=columns(*first, *_split_columns(printed, "best"), text=frozenset({SELECTION})),
        rows=tuple(
            experiment_row(
                one,
                [
                    _seeds(one),
                    *([_selection(one)] if several else []),
                    spread_cell(
                        one.best_epoch, digits=1, detail=_distance(one, "best_epoch", "best", "epoch")
                    ),
                    *([_paper(one, "best_epoch", "best", digits=1)] if with_epoch else []),
                    *_split_cells(one, printed, "best"),
                ],
            )
            for one in experiments
        ),
        notes=_small_print(experiments),
    )


def last_table(data: str, experiments: Sequence[Experiment]) -> Table:
    """The same scores at the last epoch, beside those printed ones that are of it."""
    printed = _printed(experiments)
    return Table(
        name="last",
        title=f"{_beside(data, experiments)}; last epoch",
        groups=columns(("Experiment", ()), ("Seeds", ()), *_split_columns(printed, "last")),
        rows=tuple(
            experiment_row(one, [_seeds(one), *_split_cells(one, printed, "last")]) for one in experiments
        ),
        notes=_small_print(experiments),
    )


def _printed(experiments: Sequence[Experiment]) -> PrintedAt:
    return {(measure, value.epoch) for one in experiments for measure, value in one.paper.items()}


def _beside(data: str, experiments: Sequence[Experiment]) -> str:
    sources = dict.fromkeys(one.source for one in experiments if one.source)
    return f"{data}, beside {' and '.join(sources)}" if sources else data


def _small_print(experiments: Sequence[Experiment]) -> tuple[str, ...]:
    printed, counted = (any(getattr(one, name) for one in experiments) for name in ("paper", "seeds_at"))
    return (*((_DISTANCES,) if printed else ()), *((_SEEDS,) if counted else ()))


def _selection(one: Experiment) -> Cell:
    by = SELECTED_BY[one.run.config.training.select]
    return Cell(text=by, key=by)


def _split_columns(printed: PrintedAt, epoch: Epoch) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (
            f"{split.capitalize()}, {epoch} epoch",
            ("AUC", "accuracy", *(["paper"] if (split, epoch) in printed else [])),
        )
        for split in SPLITS
    ]


def _split_cells(one: Experiment, printed: PrintedAt, epoch: Epoch) -> list[Cell]:
    cells = []
    for split in SPLITS:
        cells += [_score(one, split, epoch, "auc"), score_cell(one, split, epoch)]
        cells += [_paper(one, split, epoch)] if (split, epoch) in printed else []
    return cells


def _seeds(one: Experiment) -> Cell:
    finished, begun = len(one.run.seeds), len(one.run.unfinished)
    return Cell(text=str(finished), key=str(finished), detail=f"{begun} unfinished" if begun else "")


def _score(one: Experiment, split: str, epoch: Epoch, measure: str, seeds: str = "") -> Cell:
    scores = one.scores if epoch == "best" else one.last
    detail = " · ".join(filter(None, [seeds, _distance(one, split, epoch, measure)]))
    return spread_cell(scores[split][measure], detail=detail)


def score_cell(one: Experiment, split: str, epoch: Epoch) -> Cell:
    """An accuracy, with where the seeds ended on the synthetic images."""
    return _score(one, split, epoch, "accuracy", str(one.seeds_at.get(epoch, {}).get(split, "")))


def spread_cell(value: Spread | None, *, digits: int = 2, detail: str = "") -> Cell:
    """A mean with its standard deviation over seeds, sorted by the mean.

    Args:
        value: None leaves the cell empty.
        digits: after the point.
        detail: a smaller line under it.
    """
    if value is None:
        return EMPTY
    sd = "" if value.sd is None else f" ± {value.sd:.{digits}f}"
    return Cell(text=f"{value.mean:.{digits}f}{sd}", key=f"{value.mean:.6g}", detail=detail)


def _paper(one: Experiment, measure: str, epoch: Epoch, *, digits: int = 2) -> Cell:
    if not printed_at(one, measure, epoch):
        return EMPTY
    value, seeds = one.paper[measure], one.papers_seeds_at.get(measure)
    detail = "" if seeds is None else str(seeds)
    return spread_cell(Spread(value.mean, value.sd, 0), digits=digits, detail=detail)


def _distance(one: Experiment, measure: str, epoch: Epoch, ours: str) -> str:
    wanted = (measure, epoch, ours)
    found = [beside for beside in one.beside if (beside.measure, beside.epoch, beside.ours) == wanted]
    return _in_words(found[0]) if found else ""


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
    titles = tuple(f"{split}, {epoch} epoch" for split, epoch in FORM_COLUMNS)
    return Table(
        name="forms",
        title=f"{data}, accuracy by form",
        groups=columns(
            ("Experiment", ()), *((f"{name[0].upper()}{name[1:]}", titles) for name in [*names, "paper"])
        ),
        rows=tuple(
            Row(title=one.title, model=one.any_row.model, method=one.any_row.method, cells=_forms(one, names))
            for one in groups
        ),
    )


def _forms(one: FormRows, names: Sequence[str]) -> tuple[Cell, ...]:
    ours = [
        score_cell(one.rows[name], split, epoch) if name in one.rows else EMPTY
        for name in names
        for split, epoch in FORM_COLUMNS
    ]
    return (*ours, *(_paper(one.any_row, split, epoch) for split, epoch in FORM_COLUMNS))


def _in_words(beside: Beside) -> str:
    if beside.sds is None:
        return f"Δ{signed(beside.difference)}"
    return f"{signed(beside.sds, digits=1)} SD"


def signed(number: float, *, digits: int = 2) -> str:
    """A number with its sign, `−` being the typographer's."""
    text = f"{number:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def difference_table(data: str, experiments: Sequence[Experiment]) -> Table | None:
    """How far each experiment of one data set lies from its baseline, or None without a comparison.

    Args:
        data: its name.
        experiments: of that data set.
    """
    compared = [(one, one.comparison) for one in experiments if one.comparison is not None]
    if not compared:
        return None
    return Table(
        name="differences",
        title=f"{data}, difference from the baseline",
        groups=columns(
            ("Experiment", ()),
            ("Seeds in common", ()),
            ("Test AUC, method minus baseline", ()),
            ("95 % interval", ()),
            ("p", ()),
            ("p after Holm", ()),
        ),
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


def interval(low: float | None, high: float | None) -> str:
    """An interval in words, `–` where there is none."""
    if low is None or high is None:
        return "–"
    return f"{signed(low)} to {signed(high)}"


def p_value(p: float) -> str:
    """A p with three digits after the point, never as 0."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def experiment_row(one: Experiment, cells: Sequence[Cell]) -> Row:
    """A row of an experiment, by whose names it can be filtered."""
    return Row(
        title=f"{one.model} {one.method}",
        detail=one.details,
        model=one.model,
        method=one.method,
        cells=tuple(cells),
    )
