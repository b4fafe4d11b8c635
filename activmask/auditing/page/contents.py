"""What the page of an audit consists of, and the files that lie beside it."""

from dataclasses import dataclass, replace
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from activmask.auditing.audited import Audited
from activmask.auditing.clinic.clinic import Clinic
from activmask.auditing.conditions.conditions import Conditions
from activmask.auditing.leaks.leaks import Leaks
from activmask.auditing.looks.looks import Looks
from activmask.auditing.page.changed import most_changed
from activmask.auditing.page.clinic_charts import curves_chart, reliability_chart
from activmask.auditing.page.conditions_chart import conditions_chart
from activmask.auditing.page.pictures import picture_chart
from activmask.auditing.page.tables import (
    answers_table,
    conditions_table,
    confusion_table,
    groups_table,
    leaks_table,
    looks_table,
    shortcut_looks_table,
    shortcut_table,
    trust_table,
)
from activmask.auditing.shortcut import Shortcut
from activmask.data.files.tables import format_sheet
from activmask.ground.places import real
from activmask.report.charts.chart import Chart
from activmask.report.findings.account import Fact
from activmask.report.page.figures import drawn, figure, links
from activmask.report.page.html import Link, Page, PageTable, Part
from activmask.report.tables.table import Table

MAKER = "activmask audit"
NUMBERS_FILE = "audit.json"
PREDICTIONS_FILE = "predictions.csv"
QUESTION = "What is the score made of?"

_BESIDE = (Link(title=NUMBERS_FILE, path=NUMBERS_FILE), Link(title=PREDICTIONS_FILE, path=PREDICTIONS_FILE))

MOST_PICTURES = 6

_CHANGED = (
    "Those images of which the score of the true class changes most when everything outside the mask is "
    "shuffled. The line is the mask; the map is bright where the model looks, as far as its method can be "
    "believed."
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that is written."""

    page: Page
    files: dict[str, bytes]
    """By path beside the page."""


@dataclass(frozen=True, kw_only=True)
class _Section:
    """A part of the page before it is drawn, of one audit or of that of one label."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[tuple[Chart, tuple[Link, ...]], ...] = ()
    """Each with links to files beside its own."""


def gather(audited: Audited, out: Path, *, command: str = "") -> Contents:
    """Tabulate and draw everything that an audit found.

    Args:
        audited: the audit; of several labels one after the other.
        out: the folder of the page, from which images are linked to.
        command: what made the audit; empty leaves that out.
    """
    sections = [
        _named(section, one.material.label, f"label-{k}" if audited.labels else "")
        for k, one in enumerate(audited.labels or (audited,))
        for section in _sections(one, out)
    ]
    parts = [_what(audited), *map(_part, sections)]
    parts.append(Part(name="origin", title="How this page was made", command=command))
    page = Page(
        maker=MAKER,
        title=f"{MAKER}: {audited.predictor.name}",
        question=QUESTION,
        answer=_answer(audited),
        parts=tuple(part for part in parts if part.says_something),
    )
    charts = [chart for section in sections for chart, _ in section.charts]
    tables = {f"tables/{table.kind}.csv": _csv(table) for section in sections for table in section.tables}
    return Contents(page=page, files=drawn(charts) | tables)


def _answer(audited: Audited) -> tuple[str, ...]:
    """The finding, as the terminal has it, before its sentences; of several labels one after the other."""
    if audited.labels:
        return tuple(f"{one.material.label}: {' '.join(_answer(one))}" for one in audited.labels)
    found = None if audited.conditions is None else audited.conditions.verdict
    return (*([f"Verdict: {found.finding}."] if found else []), *audited.verdict)


def _sections(audited: Audited, out: Path) -> list[_Section]:
    return [
        *_conditions(audited.conditions),
        *_shortcut(audited.shortcut),
        *_pictures(audited, out),
        *_looks(audited.looks),
        *_leaks(audited.leaks),
        *_clinic(audited.clinic),
    ]


def _named(section: _Section, label: str, stem: str) -> _Section:
    """A section of one of several labels, under names of its own."""
    if not stem:
        return section
    return replace(
        section,
        name=f"{section.name}-{stem}",
        title=f"{label}: {section.title}",
        tables=tuple(replace(table, kind=f"{table.kind}-{stem}") for table in section.tables),
        charts=tuple((replace(chart, stem=stem), more) for chart, more in section.charts),
    )


def _part(section: _Section) -> Part:
    return Part(
        name=section.name,
        title=section.title,
        paragraphs=section.paragraphs,
        problems=section.problems,
        notes=section.notes,
        tables=tuple(
            PageTable(name=table.kind, table=table, files=links("tables", table.kind, {"CSV": "csv"}))
            for table in section.tables
        ),
        figures=tuple(figure(chart, *more) for chart, more in section.charts),
    )


def _csv(table: Table) -> bytes:
    header, *rows = table.flat
    return format_sheet(header, rows)


def _what(audited: Audited) -> Part:
    material = audited.material
    split = "all images" if audited.split == "all" else f"the {audited.split} split"
    facts = [
        Fact(title="Model", lines=(audited.predictor.name,)),
        Fact(title="Data", lines=(*filter(None, [material.title]), f"{material.source}, {split}")),
        Fact(
            title="Images",
            lines=(f"{len(material)} of {len(set(material.samples.subjects))} subjects",),
        ),
        Fact(title="Classes", lines=(", ".join(material.class_names),)),
        Fact(title="Preprocessing", lines=(f"Images are shown to the model {audited.as_seen}",)),
        Fact(title="Seed", lines=(str(audited.seed),)),
    ]
    if audited.mean is not None:
        facts.append(Fact(title="All labels", lines=(audited.mean.in_words,)))
    if audited.notes:
        facts.append(Fact(title="To mind", lines=audited.notes))
    return Part(name="what", title="What was audited", facts=tuple(facts), files=_BESIDE)


def _conditions(found: Conditions | None) -> list[_Section]:
    if found is None:
        return []
    title = "What is left of the score"
    chart = conditions_chart(found)
    if chart is None:
        return [_Section(name="conditions", title=title, problems=(f"Not available: {found.reason}.",))]
    return [
        _Section(name="conditions", title=title, charts=((chart, ()),)),
        _Section(name="conditions-one-by-one", title="One by one", tables=(conditions_table(found),)),
    ]


def _pictures(audited: Audited, out: Path) -> list[_Section]:
    changed = most_changed(audited, MOST_PICTURES)
    if not changed:
        return []
    charts = tuple(
        (
            picture_chart(one, number, probabilities=audited.predictor.probabilities),
            _file(audited, one.name, out),
        )
        for number, one in enumerate(changed, 1)
    )
    return [
        _Section(
            name="images",
            title="Images where the outside mattered most",
            paragraphs=(_CHANGED,),
            charts=charts,
        )
    ]


def _file(audited: Audited, name: str, out: Path) -> tuple[Link, ...]:
    """A link to an image's file, where it has one."""
    root = audited.material.root
    if root is None:
        return ()
    way = relpath(real(root) / name, real(out))
    return (Link(title="the file", path=quote(Path(way).as_posix())),)


def _looks(found: Looks | None) -> list[_Section]:
    if found is None:
        return []
    return [
        _Section(
            name="looks",
            title="Where it looks",
            tables=tuple(one for one in (looks_table(found), trust_table(found)) if one.rows),
            notes=found.sentences(),
        )
    ]


def _shortcut(found: Shortcut | None) -> list[_Section]:
    if found is None:
        return []
    looks = shortcut_looks_table(found)
    return [
        _Section(
            name="shortcut",
            title="The planted shortcut",
            tables=(shortcut_table(found), *([looks] if looks else [])),
            notes=found.looks.sentences() if found.looks else (),
        )
    ]


def _leaks(found: Leaks | None) -> list[_Section]:
    if found is None:
        return []
    return [
        _Section(
            name="leaks",
            title="What the data give away",
            notes=found.sentences(),
            tables=(leaks_table(found),),
        )
    ]


def _clinic(found: Clinic | None) -> list[_Section]:
    if found is None:
        return []
    confusion = confusion_table(found)
    charts = [chart for chart in (curves_chart(found), reliability_chart(found)) if chart is not None]
    scores = _Section(
        name="scores",
        title="What a clinician asks",
        tables=(answers_table(found), *([confusion] if confusion else [])),
        notes=found.notes,
        charts=tuple((chart, ()) for chart in charts),
    )
    if not found.columns:
        return [scores]
    tables = tuple(groups_table(column, number) for number, column in enumerate(found.columns, 1))
    return [scores, _Section(name="groups", title="Whom it fails", tables=tables)]
