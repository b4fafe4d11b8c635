"""What an audit found, as tables that a page shows and that lie beside it as CSV."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from activmask.auditing.clinic.clinic import Clinic
from activmask.auditing.clinic.groups import FEWEST
from activmask.auditing.clinic.groups import Column as Groups
from activmask.auditing.clinic.score import Score
from activmask.auditing.conditions.conditions import Conditions
from activmask.auditing.leaks.leaks import Leaks
from activmask.auditing.looks.curves import Curve
from activmask.auditing.looks.looks import Looks
from activmask.auditing.shortcut import Shortcut
from activmask.evaluation.estimate import Estimate
from activmask.evaluation.removal import change_name
from activmask.report.findings.words import interval, signed
from activmask.report.tables.table import Cell, Column, Row, Table


def conditions_table(found: Conditions) -> Table:
    """The scores of every condition, and of the masks alone."""
    rows = [
        _row(
            row.condition,
            [
                Cell(text=str(row.draws), key=str(row.draws)),
                _estimate(row.auc),
                _change(row.auc_change),
                _estimate(row.accuracy),
                _change(row.accuracy_change),
            ],
        )
        for row in found.rows
    ]
    masks = found.baseline
    alone = {}
    if masks is not None:
        alone = {
            "masks' area alone": masks.area,
            "masks' area and place": masks.place,
            "masks' outlines": masks.outline,
        }
    rows += [
        _row(name, [Cell(), _estimate(one), Cell(), Cell(), Cell()]) for name, one in alone.items() if one
    ]
    return Table(
        kind="conditions",
        title="Conditions",
        columns=_columns("images", "draws", found.auc_kind, "change", "accuracy", "change"),
        rows=tuple(rows),
        notes=(
            "Small print: 95 % intervals over subjects. The AUC of chance is 0.5. Changes are against the "
            "full images, of the same subjects.",
        ),
    )


def leaks_table(found: Leaks) -> Table:
    """What tells what, overall and within each class."""
    rows = [
        _row(
            f"{one.what} by {one.source}" + (f", within {one.within}" if one.within else ""),
            [
                Cell(text=str(one.n or ""), key=str(one.n)),
                Cell() if one.auc is None else _number(one.auc, _between(one.low, one.high)),
                _number(one.chance),
                Cell(text=one.reason or ("yes" if one.tells else "no"), strong=one.tells),
            ],
        )
        for one in found.every
    ]
    return Table(
        kind="leaks",
        title="What tells what",
        columns=(
            *_columns("what is told, by what", "images", "AUC", "by chance"),
            Column(title="told from chance", numeric=False),
        ),
        rows=tuple(rows),
        notes=(
            "Logistic probes, tested on subjects that they did not learn from; small print: 95 % intervals "
            "over subjects.",
        ),
    )


def looks_table(found: Looks) -> Table:
    """How much of each method's maps lies inside the masks, beside chance."""
    rows = [
        _row(
            f"{one.name}: {row.metric}",
            [
                _number(row.mean, _between(row.low, row.high)),
                _number(row.chance),
                Cell(text="yes" if one.trusted else "no", strong=not one.trusted),
            ],
        )
        for one in found.methods
        if one.localisation is not None
        for row in one.localisation.rows
    ]
    return Table(
        kind="looks",
        title="Inside the masks",
        columns=(*_columns("method and metric", "mean", "by chance"), _BELIEVED),
        rows=tuple(rows),
        notes=(f"Of {found.explained} images; small print: 95 % intervals over subjects.",),
    )


def trust_table(found: Looks) -> Table:
    """Whether each method's maps can be believed."""
    rows = []
    for one in found.methods:
        randomised, inserted, deleted = one.randomisation, one.insertion, one.deletion
        rows.append(
            _row(
                one.name,
                [
                    Cell()
                    if randomised is None
                    else _number(randomised.mean, _between(randomised.low, randomised.high)),
                    Cell() if inserted is None else _number(inserted.gain, _gain(inserted)),
                    Cell() if deleted is None else _number(deleted.gain, _gain(deleted)),
                    Cell(text="yes" if one.trusted else "no", strong=not one.trusted),
                ],
            )
        )
    return Table(
        kind="trust",
        title="Can the maps be believed?",
        columns=(
            *_columns("method", "rank correlation, untrained copy", "insertion gain", "deletion gain"),
            _BELIEVED,
        ),
        rows=tuple(rows),
        notes=(
            "A map that stays the same when the weights are random shows the image, not what was learned "
            "(Adebayo et al. 2018). Gains are against the same maps at random places (Petsiuk et al. 2018): "
            "above 0 the pixels that a map ranks first matter more to the score than others.",
        ),
    )


_BELIEVED = Column(title="can be believed", numeric=False)


def _gain(curve: Curve) -> str:
    return _between(curve.gain_low, curve.gain_high)


def shortcut_table(found: Shortcut) -> Table:
    """The scores of planted images and of the same images without what was planted."""
    rows = [
        _row(
            change_name(row),
            [
                Cell(text=str(row.n), key=str(row.n)),
                _number(row.planted),
                _number(row.twins),
                _difference(row.change, row.low, row.high),
            ],
        )
        for row in found.changes
    ]
    return Table(
        kind="shortcut",
        title=f"With the {found.shortcut} and without it",
        columns=_columns("score", "images", "planted", "twins", "change"),
        rows=tuple(rows),
        notes=(
            f"{found.carried} of {found.n} images carry it; a twin is the same image without it. Small "
            "print: 95 % intervals of the change, by a paired bootstrap over subjects. A classifier that "
            "does not see it changes by 0.",
        ),
    )


def shortcut_looks_table(found: Shortcut) -> Table | None:
    """How much of each method's maps lies on what was planted, beside chance; None without maps."""
    if found.looks is None:
        return None
    title = f"On the {found.shortcut}"
    return replace(looks_table(found.looks), kind="shortcut-looks", title=title)


def answers_table(found: Clinic) -> Table:
    """The scores of every class that is asked for."""
    rows = []
    for one in found.questions:
        rates, calibration = one.rates, one.calibration
        scores = {
            "ROC AUC": one.auc,
            "average precision": one.average_precision,
        }
        if rates is not None:
            scores["sensitivity"] = rates.sensitivity
            scores["specificity"] = rates.specificity
            scores["positive predictive value"] = rates.ppv
            scores["negative predictive value"] = rates.npv
        if calibration is not None:
            scores["Brier score"] = calibration.brier
            scores["expected calibration error"] = calibration.ece
        prefix = f"{one.name}: " if len(found.classes) > 2 else ""
        rows += [_score_row(f"{prefix}{name}", score) for name, score in scores.items()]
    if found.accuracy is not None:
        rows.append(_score_row("accuracy", found.accuracy))
    return Table(
        kind="answers",
        title="Scores",
        columns=_columns("score", "value", "by chance"),
        rows=tuple(rows),
        notes=tuple(thresholds(found)),
    )


def thresholds(found: Clinic) -> Iterable[str]:
    """A sentence on the threshold of each class."""
    for one in found.questions:
        if one.threshold is not None:
            value = one.threshold.score if one.threshold.probability is None else one.threshold.probability
            what = "score" if one.threshold.probability is None else "probability"
            yield f"Threshold of {one.name}: {what} {value:.3f}, {one.threshold.sentence}."


def confusion_table(found: Clinic) -> Table | None:
    """Images by true and by decided class; None where nothing decides."""
    if found.confusion is None:
        return None
    rows = [
        _row(name, [Cell(text=str(n), key=str(n), strong=k == j) for j, n in enumerate(counts)])
        for k, (name, counts) in enumerate(zip(found.classes, found.confusion, strict=True))
    ]
    return Table(
        kind="confusion",
        title="Confusion matrix",
        columns=_columns("true class", *(f"taken for {name}" for name in found.classes)),
        rows=tuple(rows),
    )


def groups_table(column: Groups, number: int) -> Table:
    """The scores of every value of a metadata column, which is called by its number in names of files."""
    rows = [
        _row(
            group.value,
            [
                Cell(text=str(group.n), key=str(group.n)),
                *(
                    [Cell(details=(group.reason,)), Cell(), Cell(), Cell()]
                    if group.reason
                    else [
                        _score(one)
                        for one in (group.auc, group.accuracy, group.sensitivity, group.specificity)
                    ]
                ),
            ],
        )
        for group in column.groups
    ]
    return Table(
        kind=f"groups-{number}",
        title=f"By {column.name}",
        columns=_columns(column.name, "images", "AUC", "accuracy", "sensitivity", "specificity"),
        rows=tuple(rows),
        notes=tuple(group_notes(column)),
    )


def group_notes(column: Groups) -> Iterable[str]:
    """What is to be said of the groups of a column."""
    worst = column.worst
    if worst is not None:
        beyond = (
            "lower than chance explains" if worst.auc < worst.chance_low else "no lower than chance explains"
        )
        yield (
            f"Worst: {worst.value}, AUC {worst.auc:.2f}. The worst of {worst.among} random groups of these "
            f"sizes has {worst.chance:.2f} on average and less than {worst.chance_low:.2f} in 5 % of draws: "
            f"it is {beyond}."
        )
    if column.small:
        yield (
            f"{column.small} further values of fewer than {FEWEST} images each ({column.small_images} "
            "images) are not scored."
        )
    if column.unknown:
        yield f"{column.unknown} images have no value."


def _columns(first: str, *numbers: str) -> tuple[Column, ...]:
    return (Column(title=first, numeric=False), *(Column(title=name) for name in numbers))


def _row(title: str, cells: Sequence[Cell]) -> Row:
    return Row(title=title, model="", method="", cells=tuple(cells))


def _score_row(name: str, score: Score) -> Row:
    return _row(name, [_score(score), Cell() if score.chance is None else _number(score.chance)])


def _score(score: Score | None) -> Cell:
    if score is None or score.value is None:
        return Cell()
    return _number(score.value, _between(score.low, score.high))


def _estimate(one: Estimate | None) -> Cell:
    return Cell() if one is None else _number(one.value, _between(one.low, one.high))


def _change(one: Estimate | None) -> Cell:
    return Cell() if one is None else replace(_difference(one.value, one.low, one.high), strong=one.told)


def _difference(value: float, low: float | None, high: float | None) -> Cell:
    between = interval(low, high)
    return Cell(
        text=signed(value),
        key=f"{value:.6f}",
        details=(between,) if between else (),
        strong=low is not None and high is not None and not low <= 0 <= high,
    )


def _number(value: float, between: str = "", *, strong: bool = False) -> Cell:
    return Cell(text=f"{value:.3f}", key=f"{value:.6f}", details=(between,) if between else (), strong=strong)


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    # A point says nothing of the uncertainty.
    return "degenerate" if low == high else f"{low:.3f} to {high:.3f}"
