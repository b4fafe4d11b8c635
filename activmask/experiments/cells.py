"""The cells of a grid: one experiment for each way to take a value of every axis."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from activmask.experiments.first_cells import (
    EPOCHS,
    first_labels,
    joined_settings,
    named_cell,
    with_those_of_its_run,
)
from activmask.experiments.forms import form_of, form_settings, form_title, forms
from activmask.experiments.grid import CONFIG, Grid, Settings, form_names, is_excluded, slug
from activmask.experiments.grid_checks import check_labels, expect
from activmask.experiments.printed import Printed
from activmask.ground.errors import UsageError
from activmask.ground.folder_names import is_folder_name
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config
from activmask.runs.names import names
from activmask.runs.robustness import FIRST_RUNS
from activmask.runs.searched import Searched
from activmask.runs.toml_file import Told, read_told


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One experiment of a grid."""

    labels: dict[str, str]
    """The name of its value on every axis, in the order of the axes."""
    config: RunConfig
    form: str = ""
    """How its objectives are computed, in a grid with forms; empty where that makes no difference."""
    printed: dict[str, Printed] = field(default_factory=dict)
    """The paper's value of a measure (`train`, `valid`, `test`, `best_epoch`), where it printed one."""
    searched: Searched | None = None
    """The search that chose its settings."""
    departures: tuple[str, ...] = ()
    """Settings in which it departs from what a search chose for its file, so that it is not the choice."""
    first: "Cell | None" = None
    """The cell with whose finished run it begins; its settings name that one's folder beside its own."""

    @property
    def title(self) -> str:
        """For people, for example `ResNet Actdiff (released form)`."""
        name = " ".join(self.labels.values())
        if not self.form:
            return name
        return f"{name} ({form_title(self.form) if self.form in forms() else self.form})"

    @property
    def own_title(self) -> str:
        """What its grid calls it, beyond its data, network and method, for example `weak`; mostly empty."""
        derived = {slug(name) for name in names(self.config)}
        return " ".join(label for label in self.labels.values() if slug(label) not in derived)

    @property
    def name(self) -> str:
        """For folders, for example `resnet-actdiff-gradmask-released`."""
        return slug(" ".join([*self.labels.values(), self.form]))


def grid_cells(
    grid: Grid, *, keep: Mapping[str, Sequence[str]] | None = None, settings: Settings | None = None
) -> list[Cell]:
    """The cells of a grid, in the order of its axes, forms side by side.

    Args:
        grid: the grid.
        keep: of some axes, the only values to keep; under `form`, the forms to run in a grid with forms.
        settings: win over those of the grid in every cell.

    Raises:
        UsageError: an unknown axis or value, settings that do not go together in some cell, or
            two cells that would share a folder.
    """
    keep = dict(keep or {})
    asked = form_names(grid, keep.pop("form", grid.forms[:1])) if grid.forms else [""]
    for axis, labels in keep.items():
        check_labels(axis, labels, grid.axes, grid.name)
    chosen = [[label for label in grid.axes[axis] if label in keep.get(axis, [label])] for axis in grid.axes]
    all_labels = [dict(zip(grid.axes, labels, strict=True)) for labels in product(*chosen)]
    cells = [
        cell
        for labels in all_labels
        if not is_excluded(grid.exclude, labels)
        for cell in _different([_cell(grid, labels, form, settings or {}) for form in asked])
    ]
    names = [cell.name for cell in cells]
    for cell in cells:
        if not is_folder_name(cell.name):
            raise UsageError(f"{grid.name}: {cell.title!r} gives no folder name; use other letters or digits")
        if names.count(cell.name) > 1:
            raise UsageError(f"{grid.name}: two cells would share the folder {cell.name}; name them apart")
    if not cells:
        raise UsageError(f"{grid.name}: no cell is left; keep more of its {', '.join(grid.axes)}")
    return cells


def _different(cells: Sequence[Cell]) -> list[Cell]:
    """One cell for every experiment, where forms of it are one and the same."""
    return [cell for n, cell in enumerate(cells) if all(cell.config != other.config for other in cells[:n])]


def _cell(grid: Grid, labels: dict[str, str], form: str, settings: Settings) -> Cell:
    values = {axis: with_those_of_its_run(grid.axes[axis], label) for axis, label in labels.items()}
    merged, share = joined_settings(grid.base, list(values.values()))
    told = _told(grid, values, merged.pop(CONFIG, None))
    merged = {**told.settings, **merged}
    merged |= form_settings(form, {**merged, **settings}) if form else {}
    asked = {**merged, **settings}
    own = {name: value for name, value in merged.items() if name not in settings}
    first = _first(grid, labels, form, settings) if named_cell(own) is not None else None
    if first is not None:
        asked |= {name: first.name for name in FIRST_RUNS if isinstance(own.get(name), Mapping)}
    try:
        config = _config(asked, share)
    except UsageError as error:
        named = copy(error)
        named.what = f"{grid.name}, {' '.join(labels.values())}: {error.what}"
        raise named from error
    found = form_of(config) if form else ""
    printed: dict[str, Printed] = {}
    for key, measures in grid.printed.items():
        if key <= set(labels.items()):
            printed |= measures
    # Settings that win over the form's may make it another one.
    named_form = found if found in {"", *grid.forms} else f"{form} form, changed"
    departures: tuple[str, ...] = ()
    if told.searched:
        # Its imports would keep `--help` waiting.
        from activmask.runs.departures import departures_from

        departures = departures_from(told.settings, config)
    return Cell(
        labels=labels,
        config=config,
        form=named_form,
        printed=printed,
        searched=None if departures else told.searched,
        departures=departures,
        first=first,
    )


def _config(asked: Settings, share: float) -> RunConfig:
    whole = make_config(**asked)
    if share == 1:
        return whole
    return make_config(**{**asked, EPOCHS: max(1, round(share * whole.training.epochs))})


def _first(grid: Grid, labels: dict[str, str], form: str, settings: Settings) -> Cell | None:
    """The cell with whose run a cell begins."""
    found = first_labels(grid.axes, labels)
    return None if found is None else _cell(grid, found, form, settings)


def _told(grid: Grid, values: Mapping[str, Settings], file: Any) -> Told:
    """What the file of a cell tells; two axes cannot each bring one, as either would undo the other."""
    axes = [axis for axis, settings in values.items() if CONFIG in settings]
    if len(axes) > 1:
        raise UsageError(f"{grid.name}: the axes {' and '.join(axes)} both give {CONFIG}; let one do so")
    if file is None:
        return Told(settings={}, seeds=None, searched=None)
    return read_told(Path(expect(file, str, grid.name, CONFIG)))
