"""The part of a report that says whether it matters where a network looks."""

from collections.abc import Sequence

from activmask.report.charts.chart import Chart
from activmask.report.charts.study_pairs import study_pairs
from activmask.report.charts.study_scatter import study_scatter
from activmask.report.findings.study import Study, study_sentences
from activmask.report.page.figures import figures
from activmask.report.page.html import PageTable, Part
from activmask.report.tables.study_table import (
    networks_csv,
    pairs_csv,
    pairs_table,
    relation_csv,
    relation_table,
)
from activmask.report.tables.table import Table

OF_STUDY = "study"
"""What its tables are called in names, as they are of no single data set."""

_HOW_TO_READ = (
    "The networks with masks at random places or of other images are controls: their masks are as large, "
    "and say nothing. Networks of one seed share its images. So a seed of a data set is one observation "
    "where masks are compared, and for the correlations seeds and ways to train are drawn, not networks."
)


def study_charts(found: Study | None) -> list[Chart]:
    """Its figures; none without a study."""
    drawn = [] if found is None else [study_scatter(found), study_pairs(found)]
    return [chart for chart in drawn if chart is not None]


def study_tables(found: Study | None) -> list[tuple[Table, bytes]]:
    """Its tables, and the same as CSV."""
    if found is None:
        return []
    pairs = pairs_table(found)
    of_masks = [] if pairs is None else [(pairs, pairs_csv(found))]
    return [(relation_table(found), relation_csv(found)), *of_masks]


def study_part(found: Study | None, tables: Sequence[PageTable], charts: Sequence[Chart]) -> Part:
    """The part of the page, which says nothing without a study."""
    return Part(
        name="where-or-how-much",
        title="Does it matter where a network looks?",
        paragraphs=() if found is None else (*study_sentences(found), _HOW_TO_READ),
        tables=tuple(tables),
        figures=figures(charts),
    )


def study_files(found: Study | None) -> dict[str, bytes]:
    """Every network, for programs."""
    return {} if found is None else {f"tables/networks-{OF_STUDY}.csv": networks_csv(found)}
