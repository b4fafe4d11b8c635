"""The tables of scores and of differences from the baseline, as the page shows them."""

from collections.abc import Sequence

from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread
from activmask.experiments.printed import Printed
from activmask.report.baselines import Comparison
from activmask.report.page import Cell, Group, Row, Table, columns
from activmask.report.summary import Beside
from activmask.report.summary import Row as Experiment

SIGNIFICANT = 0.05
"""A Holm-adjusted p below it counts as a difference."""

EMPTY = Cell(text="–")

_DISTANCES = "Small print under a number is its distance to the printed one."


def score_table(data: str, experiments: Sequence[Experiment]) -> Table:
    """The scores of one data set's experiments beside the printed ones.

    Args:
        data: its name.
        experiments: at least one.
    """
    printed = {measure for one in experiments for measure in one.paper}
    sources = dict.fromkeys(one.source for one in experiments if one.source)
    return Table(
        name="scores",
        title=f"{data}, beside {' and '.join(sources)}" if sources else data,
        groups=_score_columns(printed),
        rows=tuple(experiment_row(one, _scores(one, printed)) for one in experiments),
        notes=(_DISTANCES,) if printed else (),
    )


def _score_columns(printed: set[str]) -> tuple[Group, ...]:
    def with_paper(measure: str, *titles: str) -> tuple[str, ...]:
        return (*titles, "paper") if measure in printed else titles

    splits = ((split.capitalize(), with_paper(split, "AUC", "accuracy")) for split in SPLITS)
    best = with_paper("best_epoch", "here")
    return columns(
        ("Experiment", ()),
        ("Seeds", ()),
        *splits,
        ("Best epoch", best if len(best) > 1 else ()),
        ("Valid AUC, last epoch", ()),
    )


def _scores(one: Experiment, printed: set[str]) -> list[Cell]:
    cells = [_seeds(one)]
    for split in SPLITS:
        cells += [_score(one, split, "auc"), _score(one, split, "accuracy")]
        cells += [_paper(one.paper.get(split))] if split in printed else []
    cells.append(spread_cell(one.best_epoch, digits=1, detail=_distance(one, "best_epoch", "epoch")))
    cells += [_paper(one.paper.get("best_epoch"), digits=1)] if "best_epoch" in printed else []
    return [*cells, spread_cell(one.last.get("auc"))]


def _seeds(one: Experiment) -> Cell:
    finished, begun = len(one.run.seeds), len(one.run.unfinished)
    return Cell(text=str(finished), key=str(finished), detail=f"{begun} unfinished" if begun else "")


def _score(one: Experiment, split: str, measure: str) -> Cell:
    return spread_cell(one.scores[split][measure], detail=_distance(one, split, measure))


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


def _paper(value: Printed | None, *, digits: int = 2) -> Cell:
    return spread_cell(None if value is None else Spread(value.mean, value.sd, 0), digits=digits)


def _distance(one: Experiment, measure: str, ours: str) -> str:
    found = [beside for beside in one.beside if (beside.measure, beside.ours) == (measure, ours)]
    return _in_words(found[0]) if found else ""


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
        detail=one.distinction,
        model=one.model,
        method=one.method,
        cells=tuple(cells),
    )
