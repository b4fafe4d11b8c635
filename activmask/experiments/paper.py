"""The paper's cell that a run repeats, and in what the run departs from it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from activmask.data.sources.presets import source_of
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.experiments.cells import Cell, grid_cells
from activmask.experiments.forms import form_of
from activmask.experiments.grid import FURTHER, NAMED, Grid, read_grid
from activmask.experiments.printed import Printed
from activmask.objectives import OBJECTIVES
from activmask.objectives.chosen import settings_of_objectives
from activmask.objectives.objective import Objective
from activmask.runs.description import RunConfig, all_settings, flat
from activmask.runs.identity import OF_NO_EXPERIMENT
from activmask.runs.names import data_name
from activmask.runs.results import Run


def _matched() -> list[str]:
    """The settings that make a run one of the paper's.

    Not those that say how a method is computed, on which the paper is not clear or not alone: these are
    reported.
    """
    of_methods = [known for known in all_settings().values() if known.method]
    chosen = dict.fromkeys(known.name for known in (*settings_of_objectives(), *of_methods) if not known.form)
    return ["preset", "model", "correlation", *chosen]


_NEVER_REPORTED = {"data", *OF_NO_EXPERIMENT}


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """What the paper printed for the experiment a run repeats."""

    grid: str
    """The name of the paper's grid, for example `table1`."""
    source: str
    """Where the values stand, for example `paper Table 2`."""
    printed: dict[str, Printed]
    """By measure: `train`, `valid`, `test` (called AUC, measured as accuracy), `best_epoch`."""
    seeds: int
    """Over how many seeds they were printed."""
    form: str
    """How the run computes its objectives, see `forms.form_of`; the values are of the released form."""
    departures: dict[str, tuple[object, object]]
    """Settings in which the run departs from the paper: its own value and the paper's."""


def paper_cell(config: RunConfig) -> PaperCell | None:
    """The paper's printed values for a run, or None where it printed none.

    A run repeats a cell when it has its preset, a data set of the same name, its model and its
    method; anything else, such as fewer epochs or another form of the method, is a departure. Of
    several papers' cells that it repeats, it is the one from which it departs least.
    """
    matched = _matched()
    values = flat(config)
    own = _identity(config, values, matched)
    found = [
        PaperCell(
            grid=grid.name,
            source=grid.source,
            printed=cell.printed,
            seeds=grid.seeds,
            form=form_of(config),
            departures=_departures(values, printed),
        )
        for grid, cell, printed in _printed_cells(tuple(OBJECTIVES.values()))
        if _identity(cell.config, printed, matched) == own
    ]
    return min(found, key=lambda cell: len(cell.departures), default=None)


def run_cell(run: Run) -> PaperCell | None:
    """As `paper_cell` of a trained run, whose data are known better than by their name.

    None too where they are of another source than the paper's; a synthetic benchmark that was drawn
    otherwise than the paper's departs from it in that.
    """
    cell = paper_cell(run.config)
    if cell is None or run.source not in {"", source_of(run.config.preset)[0]}:
        return None
    return replace(cell, departures=cell.departures | _drawn_otherwise(run.benchmark))


_DRAWN = {
    "n": "training images",
    "valid": "validation images",
    "test": "test images",
    "size": "side in px",
    "correlation": "box in training",
    "valid_correlation": "box in validation",
    "test_correlation": "box in test",
    "distractor": "a box",
    "overlap": "overlapping crosses",
}
"""What decides how the synthetic benchmark is drawn, in words."""
_EVEN = 0.5
"""The share of images whose box agrees with their class where it tells nothing."""


def _drawn_otherwise(benchmark: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """In what a synthetic benchmark departs from the paper's; nothing where nobody wrote it down."""
    papers, own = _whole({}), _whole(benchmark)
    return {words: (own[name], papers[name]) for name, words in _DRAWN.items() if own[name] != papers[name]}


def _whole(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """How a benchmark was drawn, as the paper's where nothing is said."""
    found = asdict(SyntheticSpec()) | {name: one for name, one in benchmark.items() if one is not None}
    if found["test_correlation"] is None:
        found["test_correlation"] = found["valid_correlation"]
    return found


def box_lies(run: Run) -> bool:
    """Whether who reads the box of the synthetic benchmark is right in training and wrong elsewhere.

    So it is in the paper's, for which a run is taken that says nothing of how its data were drawn.
    """
    if not data_name(run.config).lower().startswith("synthetic") or run.source not in {"", "synthetic"}:
        return False
    drawn = _whole(run.benchmark)
    elsewhere = max(drawn["valid_correlation"], drawn["test_correlation"])
    return bool(drawn["distractor"] and drawn["correlation"] > _EVEN > elsewhere)


@cache
def _printed_cells(
    listed: tuple[Objective[Any], ...],  # noqa: ARG001
) -> tuple[tuple[Grid, Cell, Mapping[str, Any]], ...]:
    """The papers' cells with the values of their settings, while these objectives are listed."""
    grids = [read_grid(name) for name in (*NAMED, *FURTHER)]
    return tuple(
        (grid, cell, flat(cell.config)) for grid in grids for cell in grid_cells(grid) if cell.printed
    )


def _identity(config: RunConfig, values: Mapping[str, Any], matched: Sequence[str]) -> tuple[object, ...]:
    return (data_name(config).lower(), *(values[name] for name in matched))


def _departures(own: Mapping[str, Any], papers: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    return {
        name: (own[name], papers[name])
        for name in own
        if name not in _NEVER_REPORTED and own[name] != papers[name]
    }
