"""Cells that begin with the finished run of another cell, and cells of a share of the epochs.

    [axes.method]
    "Classify" = {}
    "Classify, short" = { epochs = { share = 0.1 } }
    "JTT" = { upweight_errors_of = { cell = "Classify, short" }, upweight = 20.0 }
    "DFR" = { retrain_head = { cell = "Classify" }, groups = "shortcut" }

`{ cell = LABEL }` is the run of the cell with that value on the same axis and the same ones on all others. As
`train --retrain-head` has all settings of its run where nothing else is said, so has such a value all those
of the one that it names. `{ share = S }` is that share of the epochs that the cell would have without it,
rounded, at least 1, however many a quick form or whoever runs the grid asks for.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest
from activmask.runs.robustness import FIRST_RUNS, RETRAIN_HEAD

EPOCHS = "epochs"
"""The setting that may be a share."""

_CELL, _SHARE = "cell", "share"

Settings = Mapping[str, Any]
Axes = Mapping[str, Mapping[str, Settings]]


def named_cell(settings: Settings, names: Sequence[str] = FIRST_RUNS) -> str | None:
    """The label of the cell with whose run settings begin, by one of some settings; None of no cell's."""
    found = (settings.get(name) for name in names)
    return next((str(one[_CELL]) for one in found if isinstance(one, Mapping) and _CELL in one), None)


def with_those_of_its_run(values: Mapping[str, Settings], label: str) -> dict[str, Any]:
    """The settings of a value, on top of those of the value whose last layer it fits anew, if it does."""
    own = values[label]
    run = named_cell(own, [RETRAIN_HEAD])
    return dict(own) if run is None else {**with_those_of_its_run(values, run), **own}


def first_labels(axes: Axes, labels: Mapping[str, str]) -> dict[str, str] | None:
    """The value on every axis of the cell with whose run a cell begins; None where it begins with none.

    Args:
        axes: of the grid.
        labels: of the cell. Where several axes name one, the last does, as with all settings.
    """
    named = {axis: named_cell(axes[axis][label]) for axis, label in labels.items()}
    found = [(axis, first) for axis, first in named.items() if first is not None]
    return {**labels, **dict(found[-1:])} if found else None


def joined_settings(base: Settings, values: Sequence[Settings]) -> tuple[dict[str, Any], float]:
    """The settings of a cell, but for a share of the epochs, and that share: 1 where it asks for none.

    Args:
        base: of all cells.
        values: those of its value on every axis; the later win.
    """
    merged, share = dict(base), 1.0
    for one in values:
        if isinstance(asked := one.get(EPOCHS), Mapping):
            share = float(asked[_SHARE])
            merged |= {name: value for name, value in one.items() if name != EPOCHS}
        else:
            share = share if asked is None else 1.0
            merged |= one
    return merged, share


def check_first_cells(axes: Axes, several: Mapping[str, Mapping[str, Sequence[str]]], where: str) -> None:
    """Refuse values that begin with a cell that is not there, or in a circle, and shares that are none.

    Args:
        axes: of the grid.
        several: by axis and label as written, the values that it stands for.
        where: the file, for errors.

    Raises:
        UsageError: names the value.
    """
    for axis, values in axes.items():
        for label, settings in values.items():
            _check_share(label, settings.get(EPOCHS), where)
            for name in FIRST_RUNS:
                if isinstance(settings.get(name), Mapping):
                    _check_named(axis, label, name, settings[name], values, several[axis], where)
        for label in values:
            _check_circle(label, values, where)


def _check_share(label: str, value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        return
    share = value.get(_SHARE)
    number = 0.0 if isinstance(share, bool) or not isinstance(share, int | float) else share
    if set(value) != {_SHARE} or not 0 < number <= 1:
        raise UsageError(
            f"{label}: epochs is a number or {{ share = S }}, S above 0 and at most 1",
            path=where,
            found=repr(value),
        )


def _check_named(
    axis: str,
    label: str,
    name: str,
    value: Mapping[str, Any],
    values: Mapping[str, Settings],
    several: Mapping[str, Sequence[str]],
    where: str,
) -> None:
    first = value.get(_CELL)
    if set(value) != {_CELL} or not isinstance(first, str):
        raise UsageError(
            f"{label}: {name} is the folder of a run, or {{ cell = LABEL }} with another {axis}",
            path=where,
            found=repr(value),
        )
    if first not in values:
        stands_for = several.get(first)
        known = f"{first} stands for {listed(stands_for)}; name one" if stands_for else nearest(first, values)
        raise UsageError(f"{label} begins with the {axis} '{first}', which is none; {known}", path=where)


def _check_circle(label: str, values: Mapping[str, Settings], where: str) -> None:
    chain = [label]
    while (first := named_cell(values[chain[-1]])) is not None:
        chain.append(first)
        if first == label:
            steps = [f"{one} begins with {other}" for one, other in pairwise(chain)]
            raise UsageError(f"{listed(steps)}: a circle that nothing can begin", path=where)
        if len(chain) > len(values):
            # It leads into a circle of others, which these are told of.
            return


def check_none_left_out(axes: Axes, left_out: Callable[[dict[str, str]], bool], where: str) -> None:
    """Refuse to leave out a cell with whose run another one begins.

    Args:
        axes: of the grid.
        left_out: whether the cell of some labels is.
        where: what leaves it out, for errors.

    Raises:
        UsageError: names both.
    """
    if not any(named_cell(settings) for values in axes.values() for settings in values.values()):
        return
    for chosen in product(*axes.values()):
        labels = dict(zip(axes, chosen, strict=True))
        first = first_labels(axes, labels)
        if first is not None and left_out(first) and not left_out(labels):
            raise UsageError(
                f"{' '.join(labels.values())} begins with the run of {' '.join(first.values())}, which is "
                "left out; leave out both or neither",
                path=where,
            )
