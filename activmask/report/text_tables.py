"""A summary as tables of text, which the formats and the terminal print."""

from collections.abc import Sequence
from dataclasses import dataclass

from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread
from activmask.experiments.printed import MEASURES as PRINTED
from activmask.experiments.printed import Printed
from activmask.report.summary import MEASURES, Row, Summary

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
    makers = (score_table, paper_table, last_epoch_table, baseline_table)
    tables = [make(summary.of(data), data) for data in summary.data_sets for make in makers]
    return [table for table in tables if table is not None]


def score_table(rows: Sequence[Row], data: str, *, compact: bool = False) -> TextTable:
    """The scores of one data set's rows, mean ± SD over seeds, beside the paper's test score.

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
        title=data,
        header=("Experiment Name", "Seeds", *titles, "Best Epoch", "Paper", "Distance"),
        rows=tuple(_score_cells(row, shown) for row in rows),
    )


def _score_cells(row: Row, shown: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return (
        row.title,
        str(len(row.run.seeds)),
        *(mean_sd(row.scores[split][name]) for split, name in shown),
        mean_sd(row.best_epoch, digits=1),
        mean_sd(row.paper.get("test")),
        distances(row, "test"),
    )


def last_epoch_table(rows: Sequence[Row], data: str) -> TextTable:
    """The validation scores at the best epoch, which chose it, and at the last, which did not."""
    return TextTable(
        title=f"{data}: best and last epoch",
        header=(
            "Experiment Name",
            *(f"{when} Valid {what}" for when in ("Best", "Last") for what in _NAMES.values()),
        ),
        rows=tuple(
            (
                row.title,
                *(mean_sd(scores[name]) for scores in (row.scores["valid"], row.last) for name in MEASURES),
            )
            for row in rows
        ),
    )


def paper_table(rows: Sequence[Row], data: str) -> TextTable | None:
    """Every printed value of the paper with the distances to it, or None where it printed none."""
    printed = [name for name in PRINTED if any(name in row.paper for row in rows)]
    if not printed:
        return None
    titles = [name.replace("_", " ").title() for name in printed]
    return TextTable(
        title=f"{data}: beside the paper",
        header=("Experiment Name", *(cell for title in titles for cell in (f"Paper {title}", "Distance"))),
        rows=tuple(
            (row.title, *(cell for name in printed for cell in _paper_cells(row, name)))
            for row in rows
            if row.paper
        ),
    )


def _paper_cells(row: Row, measure: str) -> tuple[str, str]:
    return mean_sd(row.paper.get(measure)), distances(row, measure)


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
    return (row.title, str(found.n), f"{found.mean:+z.2f}", between, *p_values)


def mean_sd(value: Spread | Printed | None, digits: int = 2) -> str:
    """A mean with its SD where it has one, for example `0.98 ± 0.01`."""
    if value is None:
        return NOTHING
    sd = "" if value.sd is None else f" ± {value.sd:.{digits}f}"
    return f"{value.mean:.{digits}f}{sd}"


def distances(row: Row, measure: str) -> str:
    """Ours minus the paper's: of a score `AUC / accuracy`, in its SDs or plain (Δ)."""
    found = [one for one in row.beside if one.measure == measure]
    return " / ".join(_distance(one.difference, one.sds) for one in found) or NOTHING


def _distance(difference: float, sds: float | None) -> str:
    return f"Δ{difference:+z.2f}" if sds is None else f"{sds:+z.1f}"
