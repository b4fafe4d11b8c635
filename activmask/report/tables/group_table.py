"""The table of groups of test images: how each fares, and the worst of them."""

from collections.abc import Iterator, Sequence

from activmask.data.files.tables import format_sheet
from activmask.data.groups import FEWEST
from activmask.evaluation.spread import spread
from activmask.ground.shown import shown
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.measure import Measured
from activmask.report.tables.experiment_tables import EXPERIMENT, experiment_row, spread_cell
from activmask.report.tables.measured_tables import MeasuredTable, Pair, best_epochs
from activmask.report.tables.table import Cell, Column, Row, Table
from activmask.training.replicas.group_accuracy import GroupAccuracy

_HEADER = (
    *("data", "model", "method", "distinction", "seed", "by", "class", "value", "n", "subjects"),
    *("accuracy", "low", "high", "worst", "chance"),
)


def groups_table(pairs: Sequence[Pair]) -> MeasuredTable | None:
    """What the networks of one data set score in each group.

    Args:
        pairs: every experiment with what was measured of it.

    Returns:
        None where no images are in groups.
    """
    found = [(row, one) for row, one in pairs if one.groups]
    if not found:
        return None
    table = Table(
        kind="groups",
        title=f"{found[0][0].data}, test accuracy by group",
        columns=(
            EXPERIMENT,
            Column(title="Group", numeric=False),
            *(Column(title=title) for title in ("Networks", "Images", "Accuracy", "By chance")),
        ),
        rows=tuple(line for pair in found for line in _rows(*pair)),
        notes=(
            "A group is the images of a class with one value of a column. The worst of a network is that of "
            f"the least accuracy among groups of at least {FEWEST} images; by chance is what it would be if "
            f"the column told nothing, for the least of several is low anyhow. {best_epochs(found)}",
        ),
    )
    return MeasuredTable(
        table=table, csv=format_sheet(_HEADER, (line for pair in found for line in _lines(*pair)))
    )


def _rows(row: Experiment, one: Measured) -> Iterator[Row]:
    groups: dict[tuple[str, int, str], list[GroupAccuracy]] = {}
    for found in one.groups.values():
        for group in found.groups:
            groups.setdefault((found.by, group.label, group.value), []).append(group)
    for (by, label, value), of_networks in groups.items():
        called = _class(one, label)
        yield _row(row, f"{called}, {by} {value}", of_networks)
    worst = [found.worst for found in one.groups.values() if found.worst is not None]
    if worst:
        chance = spread([found.chance for found in one.groups.values()])
        yield _row(row, "worst", worst, "" if chance is None else f"{chance.mean:.2f}")


def _row(row: Experiment, name: str, groups: Sequence[GroupAccuracy], chance: str = "") -> Row:
    sizes = sorted({group.n for group in groups})
    images = " to ".join(map(str, sorted({sizes[0], sizes[-1]})))
    return experiment_row(
        row,
        [
            Cell(text=name, key=shown(name)),
            Cell(text=str(len(groups)), key=str(len(groups))),
            Cell(text=images, key=str(sizes[0])),
            spread_cell(spread([group.accuracy for group in groups])),
            Cell(text=chance, key=chance) if chance else Cell(),
        ],
    )


def _class(one: Measured, label: int) -> str:
    """A class by its name, where the networks' answers tell it."""
    names = next((answers.class_names for answers in one.answers.values()), ())
    return names[label] if label < len(names) else f"class {label}"


def _lines(row: Experiment, one: Measured) -> Iterator[tuple[object, ...]]:
    names = (row.data, row.model, row.method, row.distinction)
    for seed, found in one.groups.items():
        for group in found.groups:
            worst = group == found.worst
            numbers = (round(number, 6) for number in (group.accuracy, group.low, group.high))
            chance = round(found.chance, 6) if worst and found.chance is not None else ""
            yield (
                *names,
                *(seed, found.by, group.label, group.value, group.n, group.subjects),
                *numbers,
                *(int(worst), chance),
            )
