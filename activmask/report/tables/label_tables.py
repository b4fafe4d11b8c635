"""The tables of runs of several labels: the AUC of each over all runs, and all about each in one run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean

from activmask.data.files.tables import format_sheet
from activmask.evaluation.answers import Answers
from activmask.evaluation.audit import MASK_AREA, audited
from activmask.evaluation.evaluate import Evaluation
from activmask.evaluation.label_points import LabelPoint
from activmask.evaluation.localisation import METRICS
from activmask.evaluation.spread import spread
from activmask.ground.shown import shown
from activmask.report.findings.measure import Measured
from activmask.report.findings.several_labels import MEANS, Pair
from activmask.report.findings.words import count
from activmask.report.tables.experiment_cells import EXPERIMENT, experiment_row, spread_cell
from activmask.report.tables.measured_tables import FINDING, MeasuredTable, best_epochs, finding_cell
from activmask.report.tables.table import Cell, Column, Row, Table

INSIDE = next(iter(METRICS))
"""Relevance mass accuracy: the share of the attribution that lies inside the mask."""

OUTSIDE_GONE, INSIDE_GONE = "background shuffled", "ROI shuffled"

_HEADER = ("data", "model", "method", "distinction", "seed", "label", "quantity", "value")


def labels_table(pairs: Sequence[Pair]) -> MeasuredTable | None:
    """The AUC of each label, of all experiments of one data set.

    Args:
        pairs: every experiment with what was measured of it.

    Returns:
        None where there are no labels that do not exclude each other.
    """
    found = [(row, one) for row, one in pairs if one.labels]
    if not found:
        return None
    names = list(found[0][1].labels)
    table = Table(
        kind="labels",
        title=f"{found[0][0].data}, test AUC by label",
        columns=(
            EXPERIMENT,
            Column(title="Networks"),
            Column(title=MEANS.capitalize()),
            *(Column(title=name, group="Label") for name in names),
        ),
        rows=tuple(
            experiment_row(
                row,
                [
                    Cell(text=str(len(one.evaluations)), key=str(len(one.evaluations))),
                    _auc(one.evaluations),
                    *(_auc(one.labels[name].evaluations) for name in names),
                ],
            )
            for row, one in found
        ),
        notes=(f"Chance is 0.5 for each. {_on_intervals([one for _, one in found])} {best_epochs(found)}",),
    )
    return MeasuredTable(table=table, csv=format_sheet(_HEADER, _lines(found)))


def run_labels_table(one: Measured) -> Table | None:
    """All that is told of each label of one run, and their means; None of a run of classes."""
    if not one.labels:
        return None
    return Table(
        kind="labels",
        title="Label by label",
        columns=(
            Column(title="Label", numeric=False),
            Column(title="AUC"),
            *(Column(title=title, group="Images") for title in ("with", "without", "unknown")),
            *(Column(title=title) for title in ("Threshold", "Sensitivity", "Specificity")),
            Column(title="Attribution inside"),
            *(Column(title=title, group="AUC with") for title in (OUTSIDE_GONE, INSIDE_GONE)),
            Column(title=MASK_AREA.capitalize()),
            FINDING,
        ),
        rows=(
            _row(MEANS, one.evaluations, [Cell() for _ in range(6)], Cell()),
            *(
                _row(name, of_label.evaluations, _of_label(name, one, of_label), finding_cell(of_label))
                for name, of_label in one.labels.items()
            ),
        ),
        notes=_notes(one),
    )


def _row(name: str, evaluations: Mapping[int, Evaluation], answered: Sequence[Cell], finding: Cell) -> Row:
    seeds = list(evaluations.values())
    audits = [audited(each.audit) for each in seeds]
    shuffled = [
        spread_cell(spread([each.get(version) for each in audits]))
        for version in (OUTSIDE_GONE, INSIDE_GONE, MASK_AREA)
    ]
    cells = (_auc(evaluations), *answered, _inside(seeds), *shuffled, finding)
    return Row(title=name, model="", method="", cells=cells)


def _of_label(name: str, one: Measured, of_label: Measured) -> list[Cell]:
    """How many images have the label, and where it is called true."""
    points = [point for each in one.together.values() for point in each.points if point.label == name]
    asked: list[Callable[[LabelPoint], float | None]] = [
        lambda point: point.threshold,
        lambda point: point.sensitivity,
        lambda point: point.specificity,
    ]
    return [
        *_images(one, of_label),
        *(spread_cell(spread([ask(point) for point in points])) for ask in asked),
    ]


def _images(one: Measured, of_label: Measured) -> list[Cell]:
    counts = [_counts(answers) for answers in of_label.answers.values()]
    totals = [one.together[seed].images for seed in of_label.answers if seed in one.together]
    unknown = (
        [n - sum(known) for n, known in zip(totals, counts, strict=True)]
        if len(totals) == len(counts)
        else []
    )
    return [
        _from_to([yes for _, yes in counts]),
        _from_to([no for no, _ in counts]),
        _from_to(unknown),
    ]


def _counts(answers: Answers) -> tuple[int, int]:
    """Images of which a label is not true, and those of which it is."""
    no, yes = (sum(row) for row in answers.confusion)
    return no, yes


def _from_to(numbers: Sequence[int]) -> Cell:
    """Whole numbers that seeds may differ in, as their splits may be other ones."""
    if not numbers:
        return Cell()
    ends = sorted({min(numbers), max(numbers)})
    return Cell(text=" to ".join(map(str, ends)), key=str(ends[0]))


def _auc(evaluations: Mapping[int, Evaluation]) -> Cell:
    scores = [each.scores for each in evaluations.values()]
    between = [each.interval for each in scores if each.interval is not None]
    told = bool(between) and len(between) == len(scores)
    ends = (
        f"{fmean(each.low for each in between):.2f} to {fmean(each.high for each in between):.2f}"
        if told
        else ""
    )
    reasons = dict.fromkeys(each.reason for each in scores if each.reason)
    details = (*([ends] if ends else []), *map(str, reasons))
    cell = spread_cell(spread([each.auc for each in scores]), details=details)
    return cell if cell.text else Cell(details=details)


def _inside(seeds: Sequence[Evaluation]) -> Cell:
    rows = [row for each in seeds for row in each.localisation.rows if row.metric == INSIDE]
    if not rows:
        return Cell()
    chance = f"{fmean(row.chance for row in rows):.2f} by chance"
    return spread_cell(spread([row.mean for row in rows]), details=(chance,))


def _on_intervals(found: Sequence[Measured]) -> str:
    means = [each.mean for one in found for each in one.together.values() if each.mean]
    without = list(dict.fromkeys(mean.reason for mean in means if mean.reason))
    again = sum(mean.redrawn for mean in means if not mean.reason)
    drawn = (
        "Under an AUC stands its 95 % interval, of several networks the means of its ends: a bootstrap over "
        "subjects, for the mean the same ones drawn for all labels"
    )
    lacking = (
        f", {count(again, 'draw')} of which lacked an answer to a label and were made anew" if again else ""
    )
    none = "".join(f" A mean has no interval: {reason}." for reason in without)
    return f"{drawn}{lacking}.{none}"


def _notes(one: Measured) -> tuple[str, ...]:
    kinds = dict.fromkeys(each.localisation.attribution for each in one.evaluations.values())
    inside = f"{shown(INSIDE)} of the {' or '.join(kinds)}" if kinds else INSIDE
    reasons = dict.fromkeys(
        f"{name}: {each.audit.reason}"
        for name, of_label in one.labels.items()
        for each in of_label.evaluations.values()
        if each.audit.reason
    )
    without = (f"Without shuffled images, {'; '.join(reasons)}.",) if reasons else ()
    return (
        f"Of {count(len(one.evaluations), 'network')} at the best epoch, on the test images of which a label "
        "is known. Thresholds are those where sensitivity plus specificity is greatest on the validation "
        f"images (Youden). Attribution inside is the {inside}. An AUC near 0 tells as much as one near 1, so "
        "the mean of shuffled AUCs says less than its labels do, and has no finding.",
        _on_intervals([one]),
        *without,
    )


def _lines(found: Sequence[Pair]) -> Iterator[tuple[object, ...]]:
    for row, one in found:
        names = (row.data, row.model, row.method, row.distinction)
        for seed, label, quantity, value in _numbers(one):
            yield (*names, seed, label, quantity, round(value, 6))


def _numbers(one: Measured) -> Iterator[tuple[int, str, str, float]]:
    """Everything by seed and label; what is of the mean has no label."""
    for label, measured in {"": one, **one.labels}.items():
        for seed, each in measured.evaluations.items():
            for quantity, value in _of_evaluation(each):
                yield seed, label, quantity, value
            if seed in measured.answers:
                without, having = _counts(measured.answers[seed])
                yield seed, label, "images with", having
                yield seed, label, "images without", without
                if seed in one.together:
                    yield seed, label, "images unknown", one.together[seed].images - having - without
    for seed, together in one.together.items():
        for point in together.points:
            yield seed, point.label, "threshold", point.threshold
            for quantity, share in (("sensitivity", point.sensitivity), ("specificity", point.specificity)):
                if share is not None:
                    yield seed, point.label, quantity, share


def _of_evaluation(one: Evaluation) -> Iterator[tuple[str, float]]:
    if one.scores.auc is not None:
        yield "AUC", one.scores.auc
    if one.scores.interval is not None:
        yield "AUC, lower end", one.scores.interval.low
        yield "AUC, upper end", one.scores.interval.high
    for name, value in audited(one.audit).items():
        yield f"AUC, {name}", value
    for row in one.localisation.rows:
        if row.metric == INSIDE:
            yield row.metric, row.mean
            yield f"{row.metric}, chance", row.chance
