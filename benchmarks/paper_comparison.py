"""What the trained cells of a paper's grid came to, beside what was printed of them."""

from collections.abc import Sequence
from pathlib import Path

from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread
from activmask.experiments.jobs import Job, progress_of
from activmask.ground.errors import DataError
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.summary import summarise
from activmask.runs.results import FoundRuns, search_runs
from activmask.runs.selection import EPOCHS, Epoch
from benchmarks.markdown import table_lines
from benchmarks.result import Cell, Table, column

READING = (
    "Accuracy and AUC are means ± SD over the finished seeds, at the best epoch and after the last. "
    "Seeds such as 9/0/1 counted the crosses (accuracy 0.9 or more), sat at chance (0.4 to 0.6) and took the "
    "box (0.1 or less). What the paper printed under the name AUC is accuracy; its seeds follow from its "
    "mean and SD where ten at 1, 0.5 and 0 can give them in one way only."
)


def comparison(jobs: Sequence[Job], out: Path) -> str:
    """The cells so far as Markdown, three rows each.

    Args:
        jobs: the cells, in the order of the paper.
        out: their folder.

    Raises:
        CheckpointError: a history is damaged.
    """
    try:
        found = search_runs([out])
    except DataError:
        found = FoundRuns(runs=[])
    experiments = {one.run.folder.name: one for one in summarise(found.runs, found.unreadable).rows}
    rows = [row for job in jobs for row in _rows(job, experiments.get(job.name))]
    done = sum(len(one.run.seeds) for name, one in experiments.items() if name in {job.name for job in jobs})
    asked = sum(len(job.seeds) for job in jobs)
    lines = [
        f"{done} of {asked} seeds of {len(jobs)} cells are finished.",
        READING,
        table_lines(_table(rows)),
    ]
    lines += [f"Cannot be read: {one.why}" for one in found.unreadable]
    return "\n\n".join(lines)


def _table(rows: list[list[Cell]]) -> Table:
    measured = [
        one
        for epoch in EPOCHS
        for one in (
            column(f"accuracy, {epoch}", ".2f"),
            column(f"AUC, {epoch}", ".2f"),
            column(f"seeds, {epoch}"),
        )
    ]
    return {
        "columns": [
            column("experiment"),
            column("trained"),
            column("split"),
            *measured,
            column("printed", ".2f"),
            column("at"),
            column("its seeds"),
        ],
        "rows": rows,
    }


def _rows(job: Job, found: Experiment | None) -> list[list[Cell]]:
    if found is None or not found.run.seeds:
        asked = len(job.seeds) * job.config.training.epochs
        return [[job.title, f"{progress_of(job).epochs / asked:.0%}", *[None] * 10]]
    return [_row(job, found, split) for split in SPLITS]


def _row(job: Job, found: Experiment, split: str) -> list[Cell]:
    printed, seeds = found.paper.get(split), found.papers_seeds_at.get(split)
    trained = f"{len(found.run.seeds)} of {len(job.seeds)} seeds"
    measured = [one for epoch in EPOCHS for one in _measured(found, epoch, split)]
    told: list[Cell] = [None, None, None]
    if printed is not None:
        mean: Cell = printed.mean if printed.sd is None else {"mean": printed.mean, "sd": printed.sd}
        told = [mean, printed.epoch, None if seeds is None else str(seeds)]
    return [job.title, trained, split, *measured, *told]


def _measured(found: Experiment, epoch: Epoch, split: str) -> list[Cell]:
    scores = {"best": found.scores, "last": found.last}[epoch][split]
    seeds = found.seeds_at.get(epoch, {}).get(split)
    return [_cell(scores["accuracy"]), _cell(scores["auc"]), None if seeds is None else str(seeds)]


def _cell(one: Spread | None) -> Cell:
    if one is None:
        return None
    return one.mean if one.sd is None else {"mean": one.mean, "sd": one.sd}
