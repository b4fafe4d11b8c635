"""The tables of one run: its seeds one by one, and what its networks confuse."""

from collections.abc import Mapping

from activmask.data.splits import SPLITS
from activmask.evaluation.answers import Answers
from activmask.ground.shown import shown
from activmask.report.findings.words import count
from activmask.report.tables.table import Cell, Column, Row, Table
from activmask.runs.results import Run
from activmask.runs.sittings import Sitting

_SCORES = (
    *((split, "auc", "best") for split in SPLITS),
    ("test", "accuracy", "best"),
    ("test", "auc", "last"),
    ("test", "accuracy", "last"),
)


def seeds_table(run: Run, sittings: Mapping[int, tuple[Sitting, ...]]) -> Table:
    """A row for every seed, unfinished ones among them.

    Args:
        run: the seeds'.
        sittings: of each seed; empty where nothing was recorded.
    """
    titles = [
        Column(title=f"{split} {'AUC' if score == 'auc' else score}", group=f"{epoch.capitalize()} epoch")
        for split, score, epoch in _SCORES
    ]
    return Table(
        kind="seeds",
        title="Seed by seed",
        columns=(
            Column(title="Seed", numeric=False),
            Column(title="Best epoch"),
            *titles,
            Column(title="Begun", numeric=False),
        ),
        rows=tuple(
            Row(
                title=f"seed {seed}",
                model="",
                method="",
                cells=(*_cells(run, seed), _begun(sittings.get(seed, ()))),
            )
            for seed in sorted({*run.seeds, *run.unfinished})
        ),
    )


def _cells(run: Run, seed: int) -> list[Cell]:
    metrics = run.metrics.get(seed)
    if metrics is None:
        return [Cell(text="unfinished"), *(Cell() for _ in _SCORES)]
    best = int(metrics["best_epoch"]) + 1
    found = {"best": metrics, "last": run.last_scores[seed]}
    values = [found[epoch].get(split, {}).get(score) for split, score, epoch in _SCORES]
    return [Cell(text=str(best), key=str(best)), *map(_number, values)]


def _number(value: float | None) -> Cell:
    return Cell() if value is None else Cell(text=f"{value:.3f}", key=f"{value:.6g}")


def _begun(sittings: tuple[Sitting, ...]) -> Cell:
    if not sittings:
        return Cell(text="not recorded")
    again = (f"{count(len(sittings), 'sitting')}",) if len(sittings) > 1 else ()
    return Cell(text=sittings[0].began_in_words, key=shown(sittings[0].began), details=again)


def confusion_table(answers: Mapping[int, Answers]) -> Table | None:
    """How often each class was called what, over the networks of a run, or None without any.

    Args:
        answers: by seed; all of the same classes.
    """
    if not answers:
        return None
    first = next(iter(answers.values()))
    names, classes = first.class_names, range(len(first.class_names))
    counts = [[sum(one.confusion[k][j] for one in answers.values()) for j in classes] for k in classes]
    return Table(
        kind="confusion",
        title="Confusion",
        columns=(
            Column(title="Class", numeric=False),
            *(Column(title=given, group="called") for given in names),
            Column(title="right"),
        ),
        rows=tuple(
            Row(
                title=names[k],
                model="",
                method="",
                cells=(
                    *(Cell(text=str(n), key=str(n), strong=j == k) for j, n in enumerate(counts[k])),
                    _share(counts[k][k], sum(counts[k])),
                ),
            )
            for k in classes
        ),
        notes=(
            f"Test images by their class and by the class of the highest score at the best epoch, counts of "
            f"{count(len(answers), 'network')} added up.",
        ),
    )


def _share(right: int, all_of_it: int) -> Cell:
    return Cell(text=f"{right / all_of_it:.0%}", key=f"{right / all_of_it:.6g}") if all_of_it else Cell()
