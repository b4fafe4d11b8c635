"""The table of what each validation split chose, of runs that held a second one out of training."""

from collections.abc import Sequence

from activmask.report.findings.choices import BOTH, Choice, choices
from activmask.report.findings.experiment import Experiment
from activmask.report.tables.experiment_cells import EXPERIMENT, epoch_cell, experiment_row, spread_cell
from activmask.report.tables.table import Cell, Column, Table
from activmask.runs.selection import chosen_by

_NOTE = (
    "valid_iid is held out of the training images, so what it chooses knows nothing of a shift; where valid "
    "is shifted as test is, what it chooses is an oracle's."
)


def choice_table(data: str, experiments: Sequence[Experiment]) -> Table | None:
    """Test scores by the validation split that chose the epoch, or None where no run has two.

    Args:
        data: its name.
        experiments: of that data set.
    """
    found = [(one, both) for one in experiments if (both := choices(one.run))]
    if not found:
        return None
    columns = [
        Column(title=title, group=f"By {on}")
        for on in BOTH
        for title in ("epoch", "its score", "test AUC", "test accuracy")
    ]
    return Table(
        kind="choices",
        title=f"{data}, by the validation split that chose the epoch",
        columns=(EXPERIMENT, *columns),
        rows=tuple(
            experiment_row(
                one, [cell for on in BOTH for cell in _cells(chosen_by(one.run.config, on), both[on])]
            )
            for one, both in found
        ),
        notes=(_NOTE,),
    )


def _cells(by: str, choice: Choice) -> tuple[Cell, ...]:
    return (
        epoch_cell(choice.best_epoch),
        spread_cell(choice.valid, details=(by,)),
        spread_cell(choice.auc),
        spread_cell(choice.accuracy),
    )
