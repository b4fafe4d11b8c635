"""At which share of a planted shortcut a pipeline takes the bait.

Runs belong together that differ in one thing alone: by which share one shortcut lies on the training and
validation images of one data set. They are judged on the same test images and their twins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from activmask.auditing.conditions.verdict import FEWEST
from activmask.data.planting.planting import ToldDose
from activmask.evaluation.removal import Change, Removal
from activmask.ground.listed import listed
from activmask.report.findings.measure import Measured
from activmask.report.findings.series import grouped, series_names
from activmask.report.findings.words import count
from activmask.runs.description import changed
from activmask.runs.identity import alike_elsewhere
from activmask.runs.names import model_name
from activmask.runs.results import Run

LEAST_CHANGE = 0.01
"""A change of a probability below this counts for nothing: the networks of a pair of images are the same,
so that an interval of next to no width leaves 0 out by a hair."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The networks of one run, all trained with one share."""

    dose: ToldDose
    removals: Mapping[int, Removal]
    """By seed."""

    def changes(self, what: str) -> list[Change]:
        """Of each network the change of `AUC`, or of the `probability` over all images that carry it."""
        return [
            row
            for one in self.removals.values()
            for row in one.changes
            if row.score.startswith(what) and row.label is None
        ]

    @property
    def bait(self) -> list[bool] | None:
        """Of each network whether it reads the shortcut as a sign of its class, by its change.

        Where the shortcut is more frequent in its class, the probability of the class has to rise with it;
        where it is rarer, to fall; where it is as frequent, no change was learned as a sign. None where
        intervals are of fewer than `FEWEST` subjects, or missing.
        """
        rows = self.changes("probability")
        if not rows or any(row.subjects < FEWEST or row.low is None or row.high is None for row in rows):
            return None
        side = self.dose.share - self.dose.other_share
        return [
            abs(row.change) >= LEAST_CHANGE
            and (
                (side > 0 and row.low is not None and row.low > 0)
                or (side < 0 and row.high is not None and row.high < 0)
            )
            for row in rows
        ]

    @property
    def taken(self) -> bool:
        """Whether all of its networks read it."""
        return bool(self.bait) and all(self.bait or ())


@dataclass(frozen=True, kw_only=True)
class Line:
    """One network and method, trained with several shares."""

    name: str
    model: str
    points: tuple[Point, ...]
    """By growing share."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """All runs on one data set planted with one shortcut at several shares."""

    shortcut: str
    of_class: str
    """Foreign text."""
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """For example `tag in sick`."""
        return f"{self.shortcut} in {self.of_class}"

    @property
    def shares(self) -> list[float]:
        """All that were tried, growing."""
        return sorted({point.dose.share for line in self.lines for point in line.points})


def families(measured: Sequence[Measured]) -> list[Family]:
    """The runs that differ in a planted share, those of two shares at least, family by family."""
    known = [(one, dose) for one in measured if (dose := _dose(one)) is not None]
    found = []
    for group in grouped(known, lambda pair: pair[1].family).values():
        lines = _lines(group)
        if len({point.dose.share for line in lines for point in line.points}) > 1:
            first = next(iter(lines[0].points[0].removals.values()))
            found.append(Family(shortcut=first.shortcut, of_class=first.of_class, lines=lines))
    return found


def _dose(one: Measured) -> ToldDose | None:
    doses = {removal.dose for removal in one.removals.values()}
    return doses.pop() if len(doses) == 1 else None


def _lines(group: Sequence[tuple[Measured, ToldDose]]) -> tuple[Line, ...]:
    alike: list[list[tuple[Measured, ToldDose]]] = []
    for pair in group:
        for other in alike:
            if alike_elsewhere(other[0][0].run.config, pair[0].run.config):
                other.append(pair)
                break
        else:
            alike.append([pair])
    place = group[0][0].run.config.source.data
    runs = [_at(one[0][0].run, place) for one in alike]
    return tuple(
        Line(name=f"{model_name(run.config)} {name}", model=model_name(run.config), points=_points(one))
        for run, name, one in zip(runs, series_names(runs), alike, strict=True)
    )


def _at(run: Run, place: str) -> Run:
    return replace(run, config=changed(run.config, data=place))


def _points(group: Sequence[tuple[Measured, ToldDose]]) -> tuple[Point, ...]:
    """A share that was run in several folders is told by the one with the most seeds."""
    best: dict[float, Point] = {}
    for one, dose in group:
        if dose.share not in best or len(one.removals) > len(best[dose.share].removals):
            best[dose.share] = Point(dose=dose, removals=one.removals)
    return tuple(best[share] for share in sorted(best))


def sentences(family: Family) -> tuple[str, ...]:
    """For each line, the smallest share at which the bait is taken, by the intervals."""
    return tuple(_sentence(family, line) for line in family.lines)


def _sentence(family: Family, line: Line) -> str:
    if any(point.bait is None for point in line.points):
        return (
            f"{line.name}: the images that carry the {family.shortcut} are of fewer than {FEWEST} subjects, "
            "too few to tell a change from chance."
        )
    taken = [point for point in line.points if point.taken]
    tried = listed([f"{point.dose.share:g}" for point in line.points])
    if not taken:
        return (
            f"{line.name}: at none of the shares that were tried ({tried}) do all networks read the "
            f"{family.shortcut} as a sign of {family.of_class}{_some(line)}."
        )
    first = taken[0]
    n = len(first.removals)
    where = f"in each of {count(n, 'network')}" if n > 1 else "in its one network"
    later = [f"{p.dose.share:g}" for p in line.points if p.dose.share > first.dose.share and not p.taken]
    but = f", but not at {listed(later)}" if later else ""
    return (
        f"{line.name}: {first.dose.share:g} is the smallest of the shares that were tried ({tried}) at which "
        f"the {family.shortcut} is read as a sign of {family.of_class}: {where} it changes the "
        f"probability by {LEAST_CHANGE:g} or more, with a 95 % interval that leaves 0 out{but}{_some(line)}."
    )


def _some(line: Line) -> str:
    """At which shares some networks read it and others do not."""
    some = [
        f"{sum(point.bait)} of {len(point.bait)} at {point.dose.share:g}"
        for point in line.points
        if point.bait and any(point.bait) and not all(point.bait)
    ]
    return f"; some do elsewhere: {listed(some)}" if some else ""
