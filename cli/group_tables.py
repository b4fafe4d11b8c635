"""What `activmask evaluate` prints of groups of images."""

from collections.abc import Sequence

from activmask.data.groups import FEWEST
from activmask.evaluation.across_seeds import RunSpread
from activmask.evaluation.evaluated import Evaluated

from .console import out
from .score_cells import checkpoint_name, number, run_name, spread_text
from .tables import ResultTable, print_table, result_table


def print_groups(evaluated: Sequence[Evaluated], spreads: Sequence[RunSpread]) -> None:
    """Print every group's accuracy, then the worst of each checkpoint, where images are in groups."""
    if not any(one.groups for one in evaluated):
        return
    print_table(_groups(evaluated))
    print_table(_worst(evaluated, spreads))
    out.print(
        f"The worst group is that of the least accuracy among those of at least {FEWEST} images. The least "
        "of several is low by chance too: by chance is what it would be if the column told nothing."
    )


def _groups(evaluated: Sequence[Evaluated]) -> ResultTable:
    columns = (
        "checkpoint",
        "class",
        "by",
        "value",
        "n",
        "subjects",
        "accuracy",
        "95 % (Wilson, of subjects)",
    )
    table = result_table("By group", *columns, names=4)
    for one in evaluated:
        for group in one.groups.groups if one.groups else ():
            label = one.class_names[group.label] if one.class_names else str(group.label)
            by = one.groups.by if one.groups else ""
            interval = f"{group.low:.3f} to {group.high:.3f}"
            sizes = (str(group.n), str(group.subjects))
            table.add_row(
                checkpoint_name(one), label, by, group.value, *sizes, number(group.accuracy), interval
            )
    return table


def _worst(evaluated: Sequence[Evaluated], spreads: Sequence[RunSpread]) -> ResultTable:
    columns = ("checkpoint", "worst group", "n", "accuracy", "95 %", "by chance", "of groups", "in no group")
    table = result_table("Worst group", *columns, texts=[1])
    for one in evaluated:
        if one.groups is None:
            continue
        worst, found = one.groups.worst, one.groups
        counts = (str(found.among), str(found.unknown))
        if worst is None:
            told = f"none: {found.among} of {len(found.groups)} groups have {FEWEST} images"
            table.add_row(checkpoint_name(one), told, "", "", "", "", *counts)
            continue
        label = one.class_names[worst.label] if one.class_names else f"class {worst.label}"
        interval = f"{worst.low:.3f} to {worst.high:.3f}"
        named = f"{label}, {found.by} {worst.value}"
        chance = number(found.chance)
        table.add_row(
            checkpoint_name(one), named, str(worst.n), number(worst.accuracy), interval, chance, *counts
        )
    for row in spreads:
        if row.worst_group is not None:
            table.add_row(run_name(row), "", "", spread_text(row.worst_group), "", "", "", "")
    return table
