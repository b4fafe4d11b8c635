"""The tables of the shortcut audit and of localisation, on the page and as numbers for a file."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from activmask.data.files.tables import format_sheet
from activmask.evaluation.audit import audited
from activmask.evaluation.evaluate import Evaluation, SiteScores
from activmask.evaluation.spread import spread
from activmask.ground.shown import shown
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.measure import Measured
from activmask.report.tables.experiment_cells import EXPERIMENT, experiment_row, spread_cell
from activmask.report.tables.table import Cell, Column, Row, Table
from activmask.runs.selection import selected_by

FINDING = Column(title="Finding", numeric=False)

Numbers = Callable[[Evaluation], dict[str, float]]
Pair = tuple[Experiment, Measured]


@dataclass(frozen=True, kw_only=True)
class MeasuredTable:
    """A table of what was measured of the networks of one data set."""

    table: Table
    csv: bytes
    """Its numbers, a line for each network and quantity."""


def audit_table(pairs: Sequence[Pair]) -> MeasuredTable | None:
    """What the networks of one data set score on whole and on partly shuffled test images.

    Args:
        pairs: every experiment with what was measured of it.

    Returns:
        None where no network could be audited.
    """
    found = _holding(pairs, _audited)
    if not found:
        return None
    title = "test AUC on partly shuffled images"
    table = _table("audit", title, found, _audited, findings=True)
    note = (
        "Of the test images whose mask covers a part. Shuffled pixels change places, so what they showed is "
        "gone and their brightness is not. An AUC near 0 tells as much as one near 1. In brackets, the "
        f"networks of which a finding holds. {best_epochs(found)}"
    )
    return MeasuredTable(table=replace(table, notes=(note,)), csv=_csv(found, _audited, {}))


def localisation_table(pairs: Sequence[Pair]) -> MeasuredTable | None:
    """How much of the attribution of the networks of one data set lies in the masks.

    Args:
        pairs: every experiment with what was measured of it.

    Returns:
        None where no test image has a mask.
    """
    found = _holding(pairs, _localised)
    if not found:
        return None
    table = _table("localisation", "attribution inside the mask", found, _localised, findings=False)
    table = replace(table, notes=(_chance(found),))
    return MeasuredTable(table=table, csv=_csv(found, _localised, {"chance": _chances}))


def sites_table(pairs: Sequence[Pair]) -> MeasuredTable | None:
    """What the networks of one data set score at each site.

    Args:
        pairs: every experiment with what was measured of it.

    Returns:
        None where no data set names sites.
    """
    found = _holding(pairs, _at_sites)
    if not found:
        return None
    data = found[0][0].data
    table = Table(
        kind="sites",
        title=f"{data}, test scores by site",
        columns=(
            EXPERIMENT,
            Column(title="Site", numeric=False),
            *(Column(title=title) for title in ("Networks", "Images", "AUC", "Accuracy")),
        ),
        rows=tuple(row for pair in found for row in _site_rows(*pair)),
        notes=(
            "No AUC stands where a site lacks a class. Chance is 0.5, from which an AUC of few images strays "
            f"far. {best_epochs(found)}",
        ),
    )
    return MeasuredTable(table=table, csv=_csv(found, _at_sites, {}))


def _at_sites(evaluation: Evaluation) -> dict[str, float]:
    aucs = {f"AUC at {one.site}": one.auc for one in evaluation.sites if one.auc is not None}
    return aucs | {f"accuracy at {one.site}": one.accuracy for one in evaluation.sites}


def _site_rows(row: Experiment, one: Measured) -> Iterator[Row]:
    by_site: dict[str, list[SiteScores]] = {}
    for evaluation in one.evaluations.values():
        for site in evaluation.sites:
            by_site.setdefault(site.site, []).append(site)
    for name, scores in sorted(by_site.items()):
        networks, images = str(len(scores)), {score.n for score in scores}
        yield experiment_row(
            row,
            [
                Cell(text=name, key=shown(name)),
                Cell(text=networks, key=networks),
                Cell(text=" to ".join(map(str, sorted({min(images), max(images)}))), key=str(min(images))),
                spread_cell(spread([score.auc for score in scores])),
                spread_cell(spread([score.accuracy for score in scores])),
            ],
        )


def _audited(evaluation: Evaluation) -> dict[str, float]:
    return audited(evaluation.audit)


def _localised(evaluation: Evaluation) -> dict[str, float]:
    return {row.metric: row.mean for row in evaluation.localisation.rows}


def _chances(evaluation: Evaluation) -> dict[str, float]:
    return {row.metric: row.chance for row in evaluation.localisation.rows}


def _holding(pairs: Sequence[Pair], numbers: Numbers) -> list[Pair]:
    return [(row, one) for row, one in pairs if any(map(numbers, one.evaluations.values()))]


def _table(kind: str, title: str, found: Sequence[Pair], numbers: Numbers, *, findings: bool) -> Table:
    evaluations = [evaluation for _, one in found for evaluation in one.evaluations.values()]
    quantities = list(dict.fromkeys(name for evaluation in evaluations for name in numbers(evaluation)))
    data = found[0][0].data
    return Table(
        kind=kind,
        title=f"{data}, {title}",
        columns=(
            EXPERIMENT,
            Column(title="Networks"),
            *(Column(title=quantity[0].upper() + quantity[1:]) for quantity in quantities),
            *([FINDING] if findings else []),
        ),
        rows=tuple(
            experiment_row(
                row, [*_cells(one, quantities, numbers), *([finding_cell(one)] if findings else [])]
            )
            for row, one in found
        ),
    )


def _cells(one: Measured, names: Sequence[str], numbers: Numbers) -> list[Cell]:
    networks = [numbers(evaluation) for evaluation in one.evaluations.values()]
    count = str(sum(map(bool, networks)))
    means = [spread_cell(spread([network.get(name) for network in networks])) for name in names]
    return [Cell(text=count, key=count), *means]


def finding_cell(one: Measured) -> Cell:
    """What the audits of a run's networks found, and of how many it holds."""
    verdicts = [evaluation.audit.verdict for evaluation in one.evaluations.values()]
    counts = Counter(verdict.finding for verdict in verdicts if verdict is not None)
    if not counts:
        return Cell()
    text = ", ".join(f"{finding} ({count})" for finding, count in counts.most_common())
    return Cell(text=text, key=text)


def _chance(found: Sequence[Pair]) -> str:
    levels: dict[str, list[float]] = {}
    kinds: dict[str, None] = {}
    for _, one in found:
        for evaluation in one.evaluations.values():
            kinds[evaluation.localisation.attribution] = None
            for row in evaluation.localisation.rows:
                levels.setdefault(row.metric, []).append(row.chance)
    listed = ", ".join(f"{metric} {sum(each) / len(each):.2f}" for metric, each in levels.items())
    networks = best_epochs(found)
    return f"Attribution is the {' or '.join(kinds)}. A map that knows nothing scores: {listed}. {networks}"


def best_epochs(found: Sequence[Pair]) -> str:
    """A sentence on which networks a table is of."""
    rule = selected_by(row.run.config for row, _ in found)
    return f"Networks are those of the best epoch by {rule}."


def _csv(found: Sequence[Pair], numbers: Numbers, further: dict[str, Numbers]) -> bytes:
    """A line for each network and quantity, with further columns of numbers by their titles."""
    header = ("data", "model", "method", "distinction", "seed", "quantity", "value", *further)
    return format_sheet(header, _lines(found, [numbers, *further.values()]))


def _lines(found: Sequence[Pair], numbers: Sequence[Numbers]) -> Iterator[tuple[object, ...]]:
    for row, one in found:
        names = (row.data, row.model, row.method, row.distinction)
        for seed, evaluation in one.evaluations.items():
            values = [each(evaluation) for each in numbers]
            for quantity in values[0]:
                yield (*names, seed, quantity, *(round(each[quantity], 6) for each in values))
