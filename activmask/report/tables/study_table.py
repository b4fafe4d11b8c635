"""Attribution and generalisation as tables: correlations, pairs of masks, and every network for a file."""

from activmask.data.files.tables import format_sheet
from activmask.evaluation.paired import Difference
from activmask.report.findings.networks import CONTROLS
from activmask.report.findings.relation import RESAMPLES, Relation
from activmask.report.findings.study import Study, shows
from activmask.report.findings.where import Contrast
from activmask.report.findings.words import interval, p_value, signed
from activmask.report.tables.table import Cell, Column, Row, Table

_ALL = "All data sets"


def relation_table(found: Study) -> Table:
    """The partial rank correlations with the test AUC, over all data sets and by each."""
    of_each = {one.data: one for one in found.holds[1]}
    pairs: list[tuple[str, Relation, Relation | None]] = [(_ALL, found.inside[0], found.holds[0])]
    pairs += [(one.data, one, of_each.get(one.data)) for one in found.inside[1]]
    return Table(
        kind="relation",
        title="Test AUC and attribution: partial rank correlations",
        columns=(
            Column(title="Data", numeric=False),
            *(Column(title=title) for title in ("Networks", "Ways to train", "Seeds")),
            Column(title="Given", numeric=False),
            Column(title="Attribution beyond chance", group="Test AUC and"),
            Column(title="Answer without the outside", group="Test AUC and"),
        ),
        rows=tuple(
            Row(
                title=name,
                model="",
                method="",
                cells=(
                    *(_plain(str(number)) for number in (one.networks, one.arms, one.seeds)),
                    _plain(_given(one, found)),
                    _correlation(one),
                    _correlation(other),
                ),
            )
            for name, one, other in pairs
        ),
        notes=(
            "Spearman's, ranks within a data set; over all, the mean of the data sets. Small print: 95 % "
            f"intervals over resampled ways to train and seeds ({RESAMPLES} times), p after Holm's "
            "correction for the data sets. The answer without the outside is 1 minus the mean change of the "
            "probability of an image's own class when all pixels outside its mask are shuffled.",
        ),
    )


def pairs_table(found: Study) -> Table | None:
    """The masks of the data minus each control's; None without pairs."""
    rows = [(one.data or _ALL, one) for one in (*found.contrasts.overall, *found.contrasts.single)]
    if not rows:
        return None
    return Table(
        kind="pairs",
        title="Masks of the data minus masks that tell nothing",
        columns=(
            Column(title="Data", numeric=False),
            Column(title="Method", numeric=False),
            Column(title="Control", numeric=False),
            Column(title="Pairs"),
            Column(title="Seeds"),
            Column(title="Attribution inside"),
            Column(title="Test AUC"),
        ),
        rows=tuple(
            Row(
                title=name,
                model="",
                method="",
                cells=(
                    _plain(one.method or "all"),
                    _plain(CONTROLS[one.control]),
                    _plain(str(one.pairs)),
                    _plain(str(one.score.n)),
                    _difference(one.mass, one.mass.p, strong=False),
                    _difference(one.score, one.adjusted_p, strong=shows(one.score, one.adjusted_p)),
                ),
            )
            for name, one in rows
        ),
        notes=(
            "A seed of a data set is one observation. Small print: Student's 95 % interval, and p of a "
            "sign-flip test; that of the test AUC after Holm's correction, of totals for all that is "
            "compared over all data sets, of other rows for those with the same control.",
        ),
    )


def networks_csv(found: Study) -> bytes:
    """A line for each network."""
    header = (
        "data",
        "method",
        "label",
        "masks",
        "seed",
        "inside",
        "chance",
        "beyond_chance",
        "without_outside",
    )
    lines = (
        (
            one.data,
            one.method,
            one.label,
            one.masks,
            one.seed,
            *(
                "" if value is None else round(value, 6)
                for value in (one.mass, one.chance, one.inside, one.holds)
            ),
            found.observed.known[one.data],
            "" if one.known is None else round(one.known, 6),
            round(one.score, 6),
        )
        for one in found.observed.networks
    )
    return format_sheet((*header, "known_is", "known", "test_auc"), lines)


def relation_csv(found: Study) -> bytes:
    """A line for each correlation."""
    named = {"beyond_chance": found.inside, "without_outside": found.holds}
    return format_sheet(
        ("data", "measure", "networks", "ways_to_train", "seeds", "rho", "low", "high", "p"),
        (
            (
                one.data or _ALL,
                measure,
                one.networks,
                one.arms,
                one.seeds,
                *_numbers(one.rho, *(one.interval or (None, None)), one.p),
            )
            for measure, (total, each) in named.items()
            for one in (total, *each)
        ),
    )


def pairs_csv(found: Study) -> bytes:
    """A line for each comparison and measure."""
    every: list[tuple[str, Contrast]] = [
        (f"data minus {CONTROLS[one.control]}", one)
        for one in (*found.contrasts.overall, *found.contrasts.single)
    ]
    if found.contrasts.amount:
        every.append((f"{CONTROLS['random']} minus classification alone", found.contrasts.amount))
    return format_sheet(
        (
            "data",
            "method",
            "comparison",
            "measure",
            "pairs",
            "seeds",
            "difference",
            "low",
            "high",
            "p",
            "p_holm",
        ),
        (
            (
                one.data or _ALL,
                one.method or "all",
                name,
                measure,
                one.pairs,
                of.n,
                *_numbers(of.mean, of.low, of.high, of.p, holm),
            )
            for name, one in every
            for measure, of, holm in (("inside", one.mass, None), ("test_auc", one.score, one.adjusted_p))
        ),
    )


def _numbers(*values: float | None) -> tuple[object, ...]:
    return tuple("" if value is None else round(value, 6) for value in values)


def _given(one: Relation, found: Study) -> str:
    if not one.data:
        return ""
    return found.observed.known[one.data] if one.fixed else "nothing (it does not vary)"


def _plain(text: str) -> Cell:
    return Cell(text=text, key=text)


def _correlation(one: Relation | None) -> Cell:
    if one is None or one.rho is None:
        return Cell()
    between = interval(*one.interval) if one.interval else "too few for an interval"
    p = (f"p {p_value(one.p)}",) if one.p is not None else ()
    return Cell(text=signed(one.rho), key=f"{one.rho:.6f}", details=(between, *p))


def _difference(one: Difference, p: float, *, strong: bool) -> Cell:
    between = interval(one.low, one.high) or "no interval"
    return Cell(
        text=signed(one.mean), key=f"{one.mean:.6f}", details=(between, f"p {p_value(p)}"), strong=strong
    )
