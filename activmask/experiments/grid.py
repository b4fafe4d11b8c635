"""A grid of experiments: axes of named settings, what is left out, and what a paper printed.

A grid is a TOML file. Its axes are tables of named groups of settings; a cell takes one group of
every axis, on top of the settings in `base`:

    name = "weights"
    title = "How strong should actdiff be?"
    seeds = 3

    [base]
    data = "synthetic"

    [axes.model]
    "ResNet" = { model = "resnet18" }

    [axes.weight]
    "weak" = { actdiff = 1.0 }
    "strong" = { actdiff = 10.0 }

A group, or `base`, may hold `config`, a TOML file as `train` takes it, such as the winner of a search:
its settings give way to all that the grid says itself.

Optional are `[[exclude]]`, each naming values of some axes whose combinations are left out;
`forms`, a list of names of `forms.toml`, in the first of which cells are computed unless others are
asked for; `note`, a sentence for whoever runs the grid; and `[printed]`, the means and standard
deviations of the table that the grid repeats. They come with the cells; tables and reports set runs
beside the paper's own grids. A list as a value stands for several values (`several.py`), a value may begin
with the finished run of another cell (`first_cells.py`), `[quick]` is a form for small machines
(`quick.py`), `[sets]` says how data sets are made (`sets.py`), and `open` names axes that may be given
further values.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from activmask.experiments.first_cells import check_first_cells, check_none_left_out
from activmask.experiments.forms import forms
from activmask.experiments.grid_checks import check_labels, expect
from activmask.experiments.printed import Printed, printed_values
from activmask.experiments.quick import Quick, read_quick
from activmask.experiments.several import joined, spread_out
from activmask.ground.errors import PATH, ConfigError, UsageError
from activmask.ground.folder_names import check_folder_name
from activmask.ground.nearest import nearest
from activmask.ground.texts import decoded_text

NAMED = ("table1", "table2", "figure5", "figure6")
"""The paper's own grids, which lie in this package."""

FURTHER = ("followup",)
"""Grids of other papers, which lie there too."""

CONFIG = "config"
"""The key under which a group of settings names a TOML file."""

STUDIES = ("study",)
"""Grids that repeat no paper's table."""

_KEYS = (
    "name",
    "title",
    "seeds",
    "base",
    "axes",
    "exclude",
    "forms",
    "note",
    "printed",
    "quick",
    "sets",
    "open",
)
Settings = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid as its file describes it."""

    name: str
    title: str
    seeds: int
    """How many seeds each cell asks for, counted from 0."""
    base: Settings
    axes: dict[str, dict[str, Settings]]
    exclude: tuple[dict[str, tuple[str, ...]], ...] = ()
    forms: tuple[str, ...] = ()
    """The forms in which it can be run, the first unless others are asked for."""
    note: str = ""
    """A sentence for whoever runs it."""
    printed: dict[frozenset[tuple[str, str]], dict[str, Printed]] = field(default_factory=dict)
    """Keyed by the axis values that a printed row and column name."""
    source: str = ""
    """Where the printed values stand."""
    several: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """By axis and label as written, the values that it stands for; see `several.py`."""
    quick: Quick | None = None
    """Its form for small machines."""
    sets: dict[str, Any] = field(default_factory=dict)
    """How the data sets of its axis `data` are made, for `sets.read_sets`."""
    open: tuple[str, ...] = ()
    """Axes that may be given further values, see `with_folders`."""


def slug(text: str) -> str:
    """A name for a folder: lower-case ASCII letters, digits, dots and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.")


def read_grid(which: str) -> Grid:
    """Read one of the paper's grids by name, or a grid file.

    Args:
        which: a name in `NAMED`, `FURTHER` or `STUDIES`, or a path ending in `.toml`.

    Raises:
        UsageError: there is no such grid, or what the file says makes none.
        ConfigError: the file is missing, or no TOML.
    """
    path = Path(which)
    known = (*NAMED, *FURTHER, *STUDIES)
    if which in known:
        text = (files("activmask.experiments") / "grids" / f"{which}.toml").read_text(encoding="utf-8")
    elif path.suffix == ".toml":
        text = _read_text(path)
    else:
        raise UsageError(f"there is no grid '{which}'; {nearest(which, known)}, or a .toml file of your own")
    try:
        return _parse(tomllib.loads(text), which)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{PATH} is not TOML ({error})", path=which, advice="mend the file") from error


def _read_text(path: Path) -> str:
    try:
        return decoded_text(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"the grid {PATH} cannot be read ({why})", path=path, advice="give a TOML file"
        ) from error


def _parse(table: dict[str, Any], where: str) -> Grid:
    if unknown := sorted(set(table).difference(_KEYS)):
        raise UsageError(
            f"there is no key '{unknown[0]}' in a grid; {nearest(unknown[0], _KEYS)}", path=where
        )
    name = expect(table.get("name", Path(where).stem), str, where, "name")
    seeds = expect(table.get("seeds", 1), int, where, "seeds")
    if seeds < 1 or not slug(name):
        raise UsageError("seeds must be at least 1 and the name must have a letter or digit", path=where)
    check_folder_name(name, f"{where}: the name of a grid")
    written = _axes(expect(table.get("axes", {}), dict, where, "axes"), where)
    several = {axis: spread_out(values, where) for axis, values in written.items()}
    axes = {axis: joined(axis, values, where) for axis, values in several.items()}
    labels = {axis: {one: tuple(found) for one, found in values.items()} for axis, values in several.items()}
    check_first_cells(axes, labels, where)
    printed = expect(table.get("printed", {}), dict, where, "printed")
    rules = expect(table.get("exclude", []), list, where, "exclude, written [[exclude]],")
    exclude = tuple(_exclusion(entry, axes, where) for entry in rules)
    check_none_left_out(axes, partial(is_excluded, exclude), where)
    quick = read_quick(expect(table.get("quick", {}), dict, where, "quick"), seeds, where)
    if quick is not None:
        left_out = tuple(_exclusion(entry, axes, f"{where}: quick") for entry in quick.exclude)
        check_none_left_out(axes, partial(is_excluded, (*exclude, *left_out)), f"{where}: quick")
        quick = replace(quick, exclude=left_out)
    return Grid(
        name=name,
        title=expect(table.get("title", name), str, where, "title"),
        seeds=seeds,
        base=expect(table.get("base", {}), dict, where, "base"),
        axes=axes,
        exclude=exclude,
        several=labels,
        quick=quick,
        sets=_of_data(expect(table.get("sets", {}), dict, where, "sets"), axes, where),
        open=tuple(expect(table.get("open", []), list, where, "open")),
        forms=_forms(expect(table.get("forms", []), list, where, "forms"), axes, where),
        note=expect(table.get("note", ""), str, where, "note"),
        printed=printed_values(printed, axes, where),
        source=expect(printed.get("source", ""), str, where, "printed.source"),
    )


def _axes(table: dict[str, Any], where: str) -> dict[str, dict[str, Settings]]:
    if not table:
        raise UsageError("a grid needs axes, for example [axes.method] with named settings", path=where)
    for axis, values in table.items():
        if not expect(values, dict, where, f"axes.{axis}"):
            raise UsageError(f"the axis {axis} has no values", path=where, advice="name at least one")
        for label, settings in values.items():
            expect(settings, dict, where, f"axes.{axis}.{label}")
    return table


def _of_data(sets: dict[str, Any], axes: dict[str, dict[str, Settings]], where: str) -> dict[str, Any]:
    for label, recipe in sets.items():
        check_labels("data", [label], axes, f"{where}: sets")
        expect(recipe, dict, where, f"sets.{label}")
        if "data" not in axes["data"][label]:
            raise UsageError(f"sets.{label} is made in no folder; its value needs data", path=where)
    return sets


def _forms(names: list[Any], axes: dict[str, dict[str, Settings]], where: str) -> tuple[str, ...]:
    for name in names:
        if name not in forms():
            raise UsageError(f"there is no form {name!r}; {nearest(str(name), forms())}", path=where)
    if names and "form" in axes:
        raise UsageError(
            "forms and an axis form are two ways to say one thing", path=where, advice="leave one out"
        )
    return tuple(names)


def _exclusion(entry: Any, axes: dict[str, dict[str, Settings]], where: str) -> dict[str, tuple[str, ...]]:
    expect(entry, dict, where, "exclude")
    chosen = {axis: labels if isinstance(labels, list) else [labels] for axis, labels in entry.items()}
    for axis, labels in chosen.items():
        check_labels(axis, labels, axes, f"{where}: exclude")
    return {axis: tuple(labels) for axis, labels in chosen.items()}


def is_excluded(rules: Iterable[Mapping[str, Sequence[str]]], labels: Mapping[str, str]) -> bool:
    """Whether a rule leaves out the cell of some labels."""
    return any(all(labels[axis] in values for axis, values in rule.items()) for rule in rules)


def quick_form(grid: Grid) -> tuple[Grid, Settings]:
    """The quick form of a grid, under a name of its own, and the settings of all its cells.

    Raises:
        UsageError: it has none.
    """
    quick = grid.quick
    if quick is None:
        raise UsageError(f"{grid.name} has no quick form; leave quick out, or take fewer epochs and seeds")
    exclude = (*grid.exclude, *quick.exclude)
    return replace(grid, name=f"{grid.name}-quick", seeds=quick.seeds, exclude=exclude), dict(quick.settings)


def axis_labels(grid: Grid, axis: str, names: Sequence[str]) -> list[str]:
    """The values of an axis that people mean by `names`: in any case, with or without punctuation.

    Raises:
        UsageError: there is no such axis or value.
    """
    if axis not in grid.axes:
        raise UsageError(f"{grid.name} has no {axis} to choose from; its axes are {', '.join(grid.axes)}")
    written = {slug(label): found for label, found in grid.several.get(axis, {}).items()}
    by_slug = {**written, **{slug(label): (label,) for label in grid.axes[axis]}}
    for name in names:
        if slug(name) not in by_slug:
            raise UsageError(f"{grid.name}: there is no {axis} '{name}'; {nearest(slug(name), by_slug)}")
    return list(dict.fromkeys(label for name in names for label in by_slug[slug(name)]))


def form_names(grid: Grid, names: Sequence[str]) -> list[str]:
    """The forms of a grid that people mean by `names`, `all` among them.

    Raises:
        UsageError: the grid has no forms, or none of such a name.
    """
    if not grid.forms:
        raise UsageError(f"{grid.name} has no forms to choose from")
    wanted = [slug(name) for name in names]
    for name in wanted:
        if name not in {*grid.forms, "all"}:
            raise UsageError(f"{grid.name}: there is no form '{name}'; {nearest(name, [*grid.forms, 'all'])}")
    return [form for form in grid.forms if form in wanted or "all" in wanted]


def with_folders(grid: Grid, folders: Mapping[str, str]) -> Grid:
    """The grid with other data set folders for some values of its `data` axis; those it has not are added."""
    data = {
        label: {**grid.axes["data"].get(label, {}), **({"data": folders[label]} if label in folders else {})}
        for label in (*grid.axes["data"], *folders)
    }
    return replace(grid, axes={**grid.axes, "data": data})
