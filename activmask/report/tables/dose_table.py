"""The dose-response of a planted shortcut as a table, and as numbers for a file."""

from collections.abc import Iterator

from activmask.data.files.tables import format_sheet
from activmask.evaluation.removal import change_name
from activmask.evaluation.spread import spread
from activmask.report.findings.dose import Family, Point
from activmask.report.findings.words import interval, mean_sd, signed
from activmask.report.tables.experiment_cells import EXPERIMENT
from activmask.report.tables.table import Cell, Column, Row, Table

_HEADER = (
    "experiment",
    "share",
    "other_share",
    "seed",
    "score",
    "class",
    "n",
    "subjects",
    "planted",
    "twins",
    "change",
    "low",
    "high",
)


def dose_table(family: Family) -> Table:
    """What the shortcut adds at each share, and what is known without it."""
    rows = [
        Row(
            title=line.name,
            model=line.model,
            method=line.name,
            cells=(
                _plain(f"{point.dose.share:g}"),
                _plain(f"{point.dose.other_share:g}"),
                _plain(str(len(point.removals))),
                _change(point, "probability"),
                _change(point, "AUC"),
                _twins(point),
                _taken(point),
            ),
        )
        for line in family.lines
        for point in line.points
    ]
    return Table(
        kind="dose-response",
        title=f"Dose-response, {family.title}",
        columns=(
            EXPERIMENT,
            *(Column(title=title) for title in ("Share", "Of others", "Networks")),
            Column(title="Probability", group="Planted - twins"),
            Column(title="AUC", group="Planted - twins"),
            Column(title="AUC of twins"),
            Column(title="Read as a sign", numeric=False),
        ),
        rows=tuple(rows),
        notes=(
            f"Probability of {family.of_class} over the test images that carry the {family.shortcut}; AUC "
            "over all test images. Mean ± SD over networks; small print: over the 95 % intervals of all "
            "of them, each by a paired bootstrap over subjects. It is read as a sign where the probability "
            "changes to the side on which training had it, by the interval of the network. At a share equal "
            "to that of the others it is no sign of anything.",
        ),
    )


def dose_csv(family: Family) -> bytes:
    """A line for each network and score."""
    return format_sheet(_HEADER, _lines(family))


def _lines(family: Family) -> Iterator[tuple[object, ...]]:
    for line in family.lines:
        for point in line.points:
            for seed, removal in point.removals.items():
                for row in removal.changes:
                    ends = ("" if end is None else round(end, 6) for end in (row.low, row.high))
                    yield (
                        line.name,
                        point.dose.share,
                        point.dose.other_share,
                        seed,
                        change_name(row),
                        "" if row.label is None else row.label,
                        row.n,
                        row.subjects,
                        *(round(value, 6) for value in (row.planted, row.twins, row.change)),
                        *ends,
                    )


def _plain(text: str) -> Cell:
    return Cell(text=text, key=text)


def _change(point: Point, what: str) -> Cell:
    rows = point.changes(what)
    found = spread([row.change for row in rows])
    if found is None:
        return Cell()
    lows = [row.low for row in rows if row.low is not None]
    highs = [row.high for row in rows if row.high is not None]
    between = interval(min(lows), max(highs)) if len(lows) == len(rows) == len(highs) else ""
    sd = "" if found.sd is None else f" ± {found.sd:.2f}"
    return Cell(
        text=f"{signed(found.mean)}{sd}",
        key=f"{found.mean:.6f}",
        details=(between,) if between else (),
    )


def _twins(point: Point) -> Cell:
    found = spread([row.twins for row in point.changes("AUC")])
    return Cell() if found is None else Cell(text=mean_sd(found), key=f"{found.mean:.6f}")


def _taken(point: Point) -> Cell:
    if point.bait is None:
        return Cell()
    text = f"{sum(point.bait)} of {len(point.bait)}"
    return Cell(text=text, key=text, strong=point.taken)
