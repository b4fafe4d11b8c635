"""What a report consists of: the page's parts, and the files that lie beside it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from activmask.errors import CheckpointError, DataError
from activmask.experiments.grid import slug
from activmask.report import formats
from activmask.report.account import account
from activmask.report.answer import QUESTION, answer
from activmask.report.audit_chart import audit_chart, localisation_chart
from activmask.report.bars import site_bars
from activmask.report.chart import Chart, png, svg, themed_svg
from activmask.report.curves import valid_curves
from activmask.report.fewer_masks import fewer_masks
from activmask.report.measure import Measured
from activmask.report.measured_tables import MeasuredTable, Pair, audit_table, localisation_table
from activmask.report.page import Figure, Link, Page, Part
from activmask.report.page_tables import difference_table, score_table
from activmask.report.reliance import auc_against_attribution
from activmask.report.saliency_grid import saliency_grid
from activmask.report.series import grouped
from activmask.report.site_means import site_means
from activmask.report.summary import Summary, summarise

PX_PER_INCH = 96

HOW_TO_READ = (
    "AUC is the chance that a random image of the positive class scores above a random one of the "
    "negative class, so 0.5 is chance and a value near 0 means that the network follows something whose "
    "relation to the class is reversed in these images; accuracy is the share of images on the right "
    "side of the network's own threshold, and can be poor where the ranking is good.",
    "Scores are those of the best epoch, the first with the highest validation AUC: where validation and "
    "test differ from training on purpose, as in the synthetic crosses or the X-rays of two sites, that "
    "may be an epoch before the shortcut was learned, and an AUC near 0.5 in epoch 0 is a network that "
    "has learned nothing yet.",
    "Numbers are means over seeds with their standard deviation, and a measure of attribution says "
    "something only beside its chance level, which is what a map that knows nothing of the image scores.",
)

PAIRED = (
    "Each method against classification alone, with the same network, data and seeds: the mean difference in "
    "test AUC, its 95 % interval, and a sign-flip test over seeds, corrected for all comparisons on this "
    "page by Holm's method."
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that is written."""

    page: Page
    files: dict[str, bytes]
    """By path beside the page."""


def gather(
    measured: Sequence[Measured], *, device: torch.device | str = "cpu", command: str = ""
) -> Contents:
    """Tabulate and draw everything that the runs hold.

    Args:
        measured: every run, with the evaluations of its finished seeds.
        device: where networks are asked where they look.
        command: what made the report; empty leaves that part out.

    Raises:
        CheckpointError: a run folder is damaged.
    """
    summary = summarise([one.run for one in measured])
    pairs = [(row, next(one for one in measured if one.run is row.run)) for row in summary.rows]
    tables = [*_per_data_set(pairs, audit_table), *_per_data_set(pairs, localisation_table)]
    training = _training_charts(summary)
    attention, problems = _attention_charts(pairs, device)
    parts = (
        Part(name="what", title="What was run", facts=account(summary)),
        Part(name="reading", title="How to read it", paragraphs=HOW_TO_READ),
        _scores(summary),
        _differences(summary),
        Part(name="training", title="How training went", figures=_figures(training)),
        Part(
            name="attention",
            title="Where the networks look",
            problems=problems,
            tables=tuple(
                replace(one.table, files=_links("tables", one.table.name, _TABLE)) for one in tables
            ),
            figures=_figures(attention),
        ),
        Part(name="origin", title="How this page was made", command=command),
    )
    page = Page(
        title="activmask report",
        question=QUESTION,
        answer=answer(summary, [one for _, one in pairs]),
        parts=tuple(part for part in parts if part.says_something),
    )
    return Contents(
        page=page, files=_score_files(summary) | _measured_files(tables) | _drawn([*training, *attention])
    )


def _training_charts(summary: Summary) -> list[Chart]:
    runs = [row.run for row in summary.rows]
    return [*valid_curves(runs), *site_bars(runs), *fewer_masks(runs)]


def _attention_charts(
    pairs: Sequence[Pair], device: torch.device | str
) -> tuple[list[Chart], tuple[str, ...]]:
    """The charts, and in sentences why others could not be drawn."""
    measured = [one for _, one in pairs]
    charts = [*auc_against_attribution(measured), *audit_chart(measured), *localisation_chart(measured)]
    problems = [problem for one in measured for problem in one.problems]
    for group in grouped(pairs, lambda pair: pair[0].data).values():
        for draw in (partial(saliency_grid, device=device), site_means):
            try:
                charts += draw([row.run for row, _ in group])
            except (DataError, CheckpointError) as error:
                problems.append(str(error))
    return charts, tuple(dict.fromkeys(problems))


def _per_data_set(
    pairs: Sequence[Pair], tabulate: Callable[[Sequence[Pair]], MeasuredTable | None]
) -> list[MeasuredTable]:
    tables = [tabulate(group) for group in grouped(pairs, lambda pair: pair[0].data).values()]
    return [table for table in tables if table is not None]


def _scores(summary: Summary) -> Part:
    return Part(
        name="scores",
        title="Scores",
        filtered=True,
        tables=tuple(
            score_table(data, summary.of(data), _links("tables", _score_stem(data), _TABLE))
            for data in summary.data_sets
        ),
        notes=summary.notes,
    )


def _differences(summary: Summary) -> Part:
    tables = [
        difference_table(data, summary.of(data), _links("tables", _score_stem(data), _TABLE))
        for data in summary.data_sets
    ]
    found = tuple(table for table in tables if table is not None)
    return Part(
        name="differences", title="Against the baseline", paragraphs=(PAIRED,) if found else (), tables=found
    )


_TABLE = {"CSV": "csv", "LaTeX": "tex"}
_PICTURE = {"SVG": "svg", "PNG": "png"}


def _links(folder: str, stem: str, kinds: dict[str, str]) -> tuple[Link, ...]:
    return tuple(Link(title=title, path=f"{folder}/{stem}.{suffix}") for title, suffix in kinds.items())


def _score_stem(data: str) -> str:
    return f"scores-{slug(data)}"


def _score_files(summary: Summary) -> dict[str, bytes]:
    files = {}
    for data in summary.data_sets:
        part = replace(summary, rows=tuple(summary.of(data)))
        files[f"tables/{_score_stem(data)}.csv"] = formats.csv(part).encode()
        files[f"tables/{_score_stem(data)}.tex"] = formats.latex(part).encode()
    return files


def _measured_files(tables: Sequence[MeasuredTable]) -> dict[str, bytes]:
    files = {}
    for one in tables:
        files[f"tables/{one.table.name}.csv"] = one.csv
        files[f"tables/{one.table.name}.tex"] = one.latex.encode()
    return files


def _figures(charts: Sequence[Chart]) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            name=chart.name,
            title=chart.title,
            caption=chart.caption,
            svg=_without_repeated_ids(themed_svg(chart)),
            width=round(chart.figure.get_size_inches()[0] * PX_PER_INCH),
            files=_links("figures", chart.name, _PICTURE),
        )
        for chart in charts
    )


def _without_repeated_ids(drawing: str) -> str:
    """Pictures that are alike get one id from matplotlib; nothing refers to it."""
    return re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", drawing)


def _drawn(charts: Sequence[Chart]) -> dict[str, bytes]:
    vector = {f"figures/{chart.name}.svg": svg(chart).encode() for chart in charts}
    return vector | {f"figures/{chart.name}.png": png(chart) for chart in charts}
