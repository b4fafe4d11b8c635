"""What all tables of experiments share: the column that names them, their rows, and means as cells."""

from collections.abc import Sequence
from dataclasses import replace

from activmask.evaluation.spread import Spread
from activmask.experiments.printed import Printed
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.words import mean_sd
from activmask.report.tables.table import Cell, Column, Row

EXPERIMENT = Column(title="Experiment", numeric=False)


def experiment_row(one: Experiment, cells: Sequence[Cell]) -> Row:
    """A row of an experiment, by whose names it can be filtered."""
    return Row(
        title=f"{one.model} {one.method}",
        detail=one.details,
        model=one.model,
        method=one.method,
        cells=tuple(cells),
        opens=one.anchor,
    )


def spread_cell(value: Spread | Printed | None, *, digits: int = 2, details: tuple[str, ...] = ()) -> Cell:
    """A mean with its standard deviation over seeds, sorted by the mean.

    Args:
        value: None leaves the cell empty.
        digits: after the point.
        details: what stands with it.
    """
    if value is None:
        return Cell()
    return Cell(text=mean_sd(value, digits), key=f"{value.mean:.6g}", details=details)


def epoch_cell(value: Spread | None, *, details: tuple[str, ...] = ()) -> Cell:
    """An epoch as people count, from 1: a whole number of one seed, a mean of several.

    Args:
        value: counted from 0, as files do; None leaves the cell empty.
        details: what stands with it.
    """
    if value is None:
        return Cell()
    counted = replace(value, mean=value.mean + 1)
    return spread_cell(counted, digits=0 if value.sd is None else 1, details=details)
