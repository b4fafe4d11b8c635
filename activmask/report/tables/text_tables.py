"""A summary as tables of text, which the formats and the terminal print."""

from collections.abc import Sequence
from dataclasses import dataclass

from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread
from activmask.experiments.outcomes import Outcomes
from activmask.experiments.printed import MEASURES as PRINTED
from activmask.experiments.printed import Epoch, Printed
from activmask.report.findings.summary import PAPERS_FIRST, Row, Summary
from activmask.report.tables.form_table import COLUMNS as FORM_COLUMNS
from activmask.report.tables.form_table import FormRows, by_form, form_names
from activmask.runs.folder import MEASURES
from activmask.runs.selection import SELECTED_BY, selected_by

NOTHING = "-"
"""The cell of a number that does not exist."""


_NAMES = {"auc": "AUC", "accuracy": "Accuracy"}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of cells to print, whose first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def text_tables(summary: Summary) -> list[TextTable]:
    """All tables, data set by data set."""
    makers = (score_table, last_epoch_table, paper_table, forms_table, baseline_table)
    tables = [make(summary.of(data), data) for data in summary.data_sets for make in makers]
    return [table for table in tables if table is not None]


def score_table(rows: Sequence[Row], data: str, *, compact: bool = False) -> TextTable:
    """The scores of one data set's rows at the best epoch, mean ± SD over seeds, beside the paper's test.

    Args:
        rows: of that data set.
        data: its name.
        compact: with accuracy on the test images alone, for a terminal.
    """
    shown = [
        (split, name)
        for split in SPLITS
        for name in MEASURES
        if not compact or name == "auc" or split == "test"
    ]
    titles = (f"{split.title()} {_NAMES[name]}" for split, name in shown)
    return TextTable(
        title=f"{data}: best epoch by {selected_by(row.run.config.training.select for row in rows)}",
        header=("Experiment Name", "Seeds", *titles, "Best Epoch", "Paper Test, Best Epoch", "Distance"),
        rows=tuple(
            (
                name,
                str(len(row.run.seeds)),
                *(_score(row, "best", split, measure) for split, measure in shown),
                mean_sd(row.best_epoch, digits=1),
                *_paper_cells(row, "test"),
            )
            for name, row in zip(row_names(rows), rows, strict=True)
        ),
    )


def row_names(rows: Sequence[Row]) -> list[str]:
    """The full titles of some rows, with what selected the best epoch where they differ in that."""
    several = len({row.run.config.training.select for row in rows}) > 1
    return [
        f"{row.full_title}, by {SELECTED_BY[row.run.config.training.select]}" if several else row.full_title
        for row in rows
    ]


def last_epoch_table(rows: Sequence[Row], data: str, *, compact: bool = False) -> TextTable:
    """The scores at the last epoch, beside those of the paper that are of the last epoch.

    Args:
        rows: of one data set.
        data: its name.
        compact: without test scores and with the AUC of the validation images alone, for a terminal.
    """
    shown = [
        (split, name)
        for split in SPLITS
        for name in MEASURES
        if not compact or (split, name) in {("train", "accuracy"), ("valid", "auc"), ("valid", "accuracy")}
    ]
    printed = [name for name in PRINTED if any(printed_at(row, name, "last") for row in rows)]
    return TextTable(
        title=f"{data}: last epoch",
        header=(
            "Experiment Name",
            *(f"Last {split.title()} {_NAMES[name]}" for split, name in shown),
            *(cell for name in printed for cell in (f"Paper {name.title()}, Last Epoch", "Distance")),
        ),
        rows=tuple(
            (
                row.full_title,
                *(_score(row, "last", split, measure) for split, measure in shown),
                *(cell for name in printed for cell in _paper_cells(row, name)),
            )
            for row in rows
        ),
    )


def paper_table(rows: Sequence[Row], data: str) -> TextTable | None:
    """Every printed value of the paper with the distances to it, or None where it printed none."""
    printed = [name for name in PRINTED if any(name in row.paper for row in rows)]
    if not printed:
        return None
    titles = [_printed_title(name, rows) for name in printed]
    return TextTable(
        title=f"{data}: beside the paper",
        header=("Experiment Name", *(cell for title in titles for cell in (f"Paper {title}", "Distance"))),
        rows=tuple(
            (row.full_title, *(cell for name in printed for cell in _paper_cells(row, name)))
            for row in rows
            if row.paper
        ),
    )


def _printed_title(measure: str, rows: Sequence[Row]) -> str:
    if measure == "best_epoch":
        return "Best Epoch"
    epochs = dict.fromkeys(row.paper[measure].epoch for row in rows if measure in row.paper)
    return f"{measure.title()}, {' or '.join(epochs).title()} Epoch"


def _score(row: Row, epoch: Epoch, split: str, measure: str) -> str:
    """A score's mean and SD, and of an accuracy on the synthetic images where the seeds ended."""
    scores = row.scores if epoch == "best" else row.last
    found = row.seeds_at.get(epoch, {}).get(split) if measure == "accuracy" else None
    return with_seeds(mean_sd(scores[split][measure]), found)


def with_seeds(text: str, found: Outcomes | None) -> str:
    """A mean with where the seeds ended, for example `0.90 ± 0.31 (9/0/1)`."""
    return f"{text} ({found})" if found else text


def _paper_cells(row: Row, measure: str) -> tuple[str, str]:
    return _printed(row, measure), distances(row, measure)


def _printed(row: Row, measure: str) -> str:
    return with_seeds(mean_sd(row.paper.get(measure)), row.papers_seeds_at.get(measure))


def forms_table(rows: Sequence[Row], data: str) -> TextTable | None:
    """The accuracies of methods that were run in several forms, or None without such.

    Args:
        rows: of one data set.
        data: its name.
    """
    groups = by_form(rows)
    names = form_names(groups)
    titles = [f"{split.title()}, {epoch.title()} Epoch" for split, epoch in FORM_COLUMNS]
    cells = tuple((one.title, *(_form_cells(one, names))) for one in groups)
    return (
        TextTable(
            title=f"{data}: accuracy by form",
            header=(
                "Experiment Name",
                *(f"{name}: {title}" for name in [*names, "Paper"] for title in titles),
            ),
            rows=cells,
        )
        if groups
        else None
    )


def _form_cells(one: FormRows, names: Sequence[str]) -> tuple[str, ...]:
    ours = [
        _score(one.rows[name], epoch, split, "accuracy") if name in one.rows else NOTHING
        for name in names
        for split, epoch in FORM_COLUMNS
    ]
    row = one.any_row
    return (
        *ours,
        *(
            _printed(row, split) if printed_at(row, split, epoch) else NOTHING
            for split, epoch in FORM_COLUMNS
        ),
    )


def printed_at(row: Row, measure: str, epoch: Epoch) -> bool:
    """Whether the paper printed a measure, and at the end of that epoch."""
    return measure in row.paper and row.paper[measure].epoch == epoch


def baseline_table(rows: Sequence[Row], data: str) -> TextTable | None:
    """Test AUC minus the baseline's, paired over seeds, or None where nothing could be compared."""
    cells = tuple(_comparison_cells(row) for row in rows if row.comparison)
    header = ("Experiment Name", "Seeds", "Test AUC Difference", "95 % Interval", "p", "p (Holm)")
    return TextTable(title=f"{data}: against the baseline", header=header, rows=cells) if cells else None


def _comparison_cells(row: Row) -> tuple[str, ...]:
    assert row.comparison is not None
    found = row.comparison.difference
    between = NOTHING if found.low is None else f"{found.low:+z.2f} to {found.high:+z.2f}"
    p_values = (f"{found.p:.3g}", f"{row.comparison.adjusted_p:.3g}")
    return (row.full_title, str(found.n), f"{found.mean:+z.2f}", between, *p_values)


def mean_sd(value: Spread | Printed | None, digits: int = 2) -> str:
    """A mean with its SD where it has one, for example `0.98 ± 0.01`."""
    if value is None:
        return NOTHING
    sd = "" if value.sd is None else f" ± {value.sd:.{digits}f}"
    return f"{value.mean:.{digits}f}{sd}"


def distances(row: Row, measure: str) -> str:
    """Ours minus the paper's: of a score `accuracy / AUC`, in its SDs or plain (Δ)."""
    found = [one for name in PAPERS_FIRST for one in row.beside if (one.measure, one.ours) == (measure, name)]
    return " / ".join(_distance(one.difference, one.sds) for one in found) or NOTHING


def _distance(difference: float, sds: float | None) -> str:
    return f"Δ{difference:+z.2f}" if sds is None else f"{sds:+z.1f}"
