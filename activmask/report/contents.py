"""What a report consists of: the page's parts, and the files that lie beside it."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch

from activmask.ground.errors import CheckpointError, DataError
from activmask.ground.spelling import as_utf8
from activmask.report.charts.audit_chart import audit_chart, localisation_chart
from activmask.report.charts.chart import Chart
from activmask.report.charts.curves import valid_curves
from activmask.report.charts.dose_response import dose_response
from activmask.report.charts.fewer_masks import fewer_masks
from activmask.report.charts.reliance import auc_against_attribution
from activmask.report.charts.saliency_grid import saliency_grid
from activmask.report.charts.site_means import site_means
from activmask.report.charts.site_scores import site_scores
from activmask.report.findings.account import Fact, account
from activmask.report.findings.answer import QUESTION, answer
from activmask.report.findings.dose import Family, families, sentences
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.measure import Measured
from activmask.report.findings.several_labels import about_means, how_to_read, row_by_row
from activmask.report.findings.stems import stems
from activmask.report.findings.study import headline, study
from activmask.report.findings.summary import Summary, summarise
from activmask.report.openings import CommandOf, images_left_out, openings
from activmask.report.page.figures import drawn, figures, links
from activmask.report.page.html import Page, PageTable, Part
from activmask.report.study_part import OF_STUDY, study_charts, study_files, study_part, study_tables
from activmask.report.tables import formats
from activmask.report.tables.dose_table import dose_csv, dose_table
from activmask.report.tables.experiment_tables import tables_of
from activmask.report.tables.group_table import groups_table
from activmask.report.tables.label_tables import labels_table
from activmask.report.tables.latex import latex
from activmask.report.tables.measured_tables import Pair, audit_table, localisation_table, sites_table
from activmask.report.tables.table import Table
from activmask.runs.results import Run
from activmask.runs.seed_folders import Unreadable
from activmask.training.feed.reading import Reading

Item = TypeVar("Item")

MAKER = "activmask report"

HOW_TO_READ = (
    "AUC is the chance that a random image of the positive class scores above a random one of the "
    "negative class, so 0.5 is chance and a value near 0 means that the network follows something whose "
    "relation to the class is reversed in these images; accuracy is the share of images on the right "
    "side of the network's own threshold, and can be poor where the ranking is good.",
    "Scores are those of the best epoch, the first that is best on the validation images by what a table "
    "names, or of the last: where validation and test differ from training on purpose, as in the synthetic "
    "crosses or the X-rays of two sites, the best may be an epoch before the shortcut was learned, and an "
    "AUC near 0.5 in the first epoch is a network that has learned nothing yet.",
    "Numbers are means over seeds with their standard deviation, and a measure of attribution says "
    "something only beside its chance level, which is what a map that knows nothing of the image scores.",
)

PAIRED = (
    "Each method against classification alone, with the same network, data and seeds: the mean difference in "
    "test AUC, its 95 % interval, and a sign-flip test over seeds, corrected for all comparisons of its "
    "data set by Holm's method."
)


RUN_BY_RUN = (
    "A run opens its seeds, its settings and the command that trains it anew, who trained it when, its "
    "curves, what its networks confuse, and images that they did best, worst, or changed their mind about "
    "most. Curves say their values where the pointer rests on them."
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that is written."""

    page: Page
    files: dict[str, bytes]
    """By path beside the page."""


@dataclass(frozen=True, kw_only=True)
class _DataSet:
    """The experiments of one data set, and what it is called in names."""

    name: str
    stem: str
    pairs: list[Pair]

    @cached_property
    def tables(self) -> list[Table]:
        found = tables_of(self.name, self.rows)
        return [replace(table, notes=(*table.notes, *self.means)) for table in found]

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that do not exclude each other; none where there are classes."""
        return next((tuple(one.labels) for one in self.measured if one.labels), ())

    @property
    def means(self) -> tuple[str, ...]:
        """What is to be said of scores that are means over labels."""
        return (about_means(self.labels),) if self.labels else ()

    def draw(self, drawn: Chart | None) -> list[Chart]:
        """A chart of it under its stem, with what is to be said of means; none where nothing was drawn."""
        if drawn is None:
            return []
        return [replace(drawn, stem=self.stem, caption=" ".join((drawn.caption, *self.means)))]

    @property
    def rows(self) -> list[Experiment]:
        return [row for row, _ in self.pairs]

    @property
    def runs(self) -> list[Run]:
        return [row.run for row, _ in self.pairs]

    @property
    def measured(self) -> list[Measured]:
        return [one for _, one in self.pairs]


def gather(
    measured: Sequence[Measured],
    *,
    unreadable: Sequence[Unreadable] = (),
    device: torch.device | str = "cpu",
    command: str = "",
    command_of: CommandOf | None = None,
    title: str = "",
    now: datetime,
    code: Sequence[Path] = (),
    reading: Reading | None = None,
) -> Contents:
    """Tabulate and draw everything that the runs hold.

    Args:
        measured: every run, with the evaluations of its finished seeds.
        unreadable: what is in no run, because it cannot be read.
        device: where networks are asked where they look.
        command: what made the report; empty leaves that out.
        command_of: the command line that trains a run anew; None leaves those out.
        title: of the page; empty for the usual one.
        now: when it is made.
        code: Python files that may run, as in `load_checkpoint`.
        reading: what was read for the measurements, and is read for more; None where that is gone.

    Raises:
        CheckpointError: a run folder is damaged.
    """
    reading = reading or Reading()
    summary = summarise([one.run for one in measured], unreadable)
    pairs = [(row, next(one for one in measured if one.run is row.run)) for row in summary.rows]
    data_sets = [
        _DataSet(name=name, stem=stem, pairs=[pair for pair in pairs if pair[0].data == name])
        for name, stem in stems(summary.data_sets).items()
    ]
    doses = _doses(measured)
    studied = study([one for _, one in pairs])
    of_study = study_charts(studied)
    tables_of_study = [(_shown(table, OF_STUDY, table.kind), csv) for table, csv in study_tables(studied)]
    tables, by_label = _experiment_tables(data_sets), _label_tables(data_sets)
    measured_tables = _measured_tables(data_sets)
    training = _training_charts(data_sets)
    attention, problems = _attention_charts(data_sets, device, code, reading)
    parts = (
        Part(name="what", title="What was run", facts=account(summary)),
        Part(
            name="reading",
            title="How to read it",
            paragraphs=(
                *HOW_TO_READ,
                *(how_to_read(one.name, one.labels) for one in data_sets if one.labels),
            ),
        ),
        _scores([*tables, *(shown for shown, _ in by_label)], summary.notes),
        _differences(tables),
        study_part(studied, [shown for shown, _ in tables_of_study], of_study),
        _run_by_run(data_sets, command_of, reading),
        Part(name="training", title="How training went", figures=figures(training)),
        Part(
            name="attention",
            title="Where the networks look",
            problems=problems,
            tables=tuple(shown for shown, _ in measured_tables),
            figures=figures(attention),
        ),
        _dose_part(doses),
        Part(name="origin", title="How this page was made", facts=_origin(now), command=command),
    )
    page = Page(
        maker=MAKER,
        title=title or MAKER,
        question=QUESTION,
        answer=(
            *answer(summary, [one for _, one in pairs]),
            *([headline(studied)] if studied else []),
            *(f"On {one.name} {said[0].lower()}{said[1:]}" for one in data_sets for said in one.means),
        ),
        parts=tuple(part for part in parts if part.says_something),
    )
    all_tables = [*by_label, *measured_tables, *_dose_tables(doses), *tables_of_study]
    files = _score_files(data_sets, summary) | _measured_files(all_tables) | study_files(studied)
    charts = [*of_study, *training, *attention, *(one.chart for one in doses)]
    return Contents(page=page, files=files | drawn(charts))


def _run_by_run(data_sets: Sequence[_DataSet], command_of: CommandOf | None, reading: Reading) -> Part:
    left_out = images_left_out([pair for one in data_sets for pair in one.pairs])
    return Part(
        name="runs",
        title="Run by run",
        paragraphs=(RUN_BY_RUN, left_out) if left_out else (RUN_BY_RUN,),
        openings=tuple(
            opening
            for one in data_sets
            for opening in openings(one.pairs, command_of, pictured=not left_out, reading=reading)
        ),
    )


def _origin(now: datetime) -> tuple[Fact, ...]:
    versions = {
        "activmask": version("activmask"),
        "Python": platform.python_version(),
        "torch": torch.__version__,
    }
    return (
        Fact(title="Date", lines=(f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",)),
        Fact(title="Versions", lines=(", ".join(f"{name} {number}" for name, number in versions.items()),)),
    )


@dataclass(frozen=True, kw_only=True)
class _Dose:
    """One shortcut that was planted at several shares."""

    family: Family
    stem: str
    chart: Chart


def _doses(measured: Sequence[Measured]) -> list[_Dose]:
    found = families(measured)
    taken = stems(f"{number} {one.title}" if number else one.title for number, one in enumerate(found))
    return [
        _Dose(family=family, stem=stem, chart=replace(dose_response(family), stem=stem))
        for family, stem in zip(found, taken.values(), strict=True)
    ]


def _dose_tables(doses: Sequence[_Dose]) -> list[tuple[PageTable, bytes]]:
    tables = [(one, dose_table(one.family)) for one in doses]
    return [(_shown(table, one.stem, table.kind), dose_csv(one.family)) for one, table in tables]


def _dose_part(doses: Sequence[_Dose]) -> Part:
    return Part(
        name="dose-response",
        title="At which share is a planted shortcut read?",
        paragraphs=tuple(said for one in doses for said in sentences(one.family)),
        tables=tuple(shown for shown, _ in _dose_tables(doses)),
        figures=figures([one.chart for one in doses]),
    )


def _training_charts(data_sets: Sequence[_DataSet]) -> list[Chart]:
    draws = (valid_curves, site_scores, fewer_masks)
    return [chart for draw in draws for one in data_sets for chart in one.draw(draw(one.runs))]


def _attention_charts(
    data_sets: Sequence[_DataSet], device: torch.device | str, code: Sequence[Path], reading: Reading
) -> tuple[list[Chart], tuple[str, ...]]:
    """The charts, and in sentences why others could not be drawn."""
    draws = (auc_against_attribution, audit_chart, localisation_chart)
    charts = [chart for draw in draws for one in data_sets for chart in one.draw(draw(one.measured))]
    problems = [problem for one in data_sets for found in one.measured for problem in found.problems]
    for one in data_sets:
        grids = () if one.labels else (partial(saliency_grid, device=device, code=code, reading=reading),)
        for draw_runs in (*grids, partial(site_means, reading=reading)):
            try:
                charts += [replace(chart, stem=one.stem) for chart in [draw_runs(one.runs)] if chart]
            except (DataError, CheckpointError) as error:
                problems.append(str(error))
    return charts, tuple(dict.fromkeys(problems))


def _label_tables(data_sets: Sequence[_DataSet]) -> list[tuple[PageTable, bytes]]:
    """The AUC of each of several labels, and all that is told of them as CSV."""
    found = [(one.stem, labels_table(one.pairs)) for one in data_sets]
    return [(_shown(made.table, stem, made.table.kind), made.csv) for stem, made in found if made is not None]


def _measured_tables(data_sets: Sequence[_DataSet]) -> list[tuple[PageTable, bytes]]:
    """What was measured of the networks, and the same as CSV, quantity by quantity."""
    return [
        (_shown(found.table, one.stem, found.table.kind), found.csv)
        for tabulate in (audit_table, localisation_table, sites_table, groups_table)
        for one in data_sets
        if (found := tabulate(row_by_row(one.pairs))) is not None
    ]


def _shown(table: Table, stem: str, files: str) -> PageTable:
    """A table with an anchor of its own and links to the files of a kind."""
    return PageTable(
        name=f"{table.kind}-{stem}", table=table, files=links("tables", f"{files}-{stem}", _TABLE)
    )


def _experiment_tables(data_sets: Sequence[_DataSet]) -> list[PageTable]:
    return [_shown(table, one.stem, "scores") for one in data_sets for table in one.tables]


def _scores(tables: Sequence[PageTable], notes: tuple[str, ...]) -> Part:
    scores = tuple(one for one in tables if one.table.kind != "differences")
    return Part(name="scores", title="Scores", filtered=True, tables=scores, notes=notes)


def _differences(tables: Sequence[PageTable]) -> Part:
    found = tuple(one for one in tables if one.table.kind == "differences")
    return Part(
        name="differences", title="Against the baseline", paragraphs=(PAIRED,) if found else (), tables=found
    )


_TABLE = {"CSV": "csv", "LaTeX": "tex"}


def _score_files(data_sets: Sequence[_DataSet], summary: Summary) -> dict[str, bytes]:
    files = {}
    for one in data_sets:
        part = replace(summary, rows=tuple(one.rows))
        files[f"tables/scores-{one.stem}.csv"] = as_utf8(formats.csv(part))
        files[f"tables/scores-{one.stem}.tex"] = as_utf8(latex(one.tables, summary.notes))
    return files


def _measured_files(tables: Sequence[tuple[PageTable, bytes]]) -> dict[str, bytes]:
    files = {}
    for shown, csv in tables:
        files[f"tables/{shown.name}.csv"] = csv
        files[f"tables/{shown.name}.tex"] = as_utf8(latex([shown.table]))
    return files
