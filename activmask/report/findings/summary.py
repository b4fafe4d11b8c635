"""A set of runs as the paper tabulates them, beside its printed values and against their baselines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activmask.data.sources.presets import presets
from activmask.experiments.grid import read_grid
from activmask.report.findings.baselines import against_baselines
from activmask.report.findings.experiment import Experiment, experiment_of
from activmask.report.findings.notes import notes
from activmask.runs.results import Run, told_apart
from activmask.runs.seed_folders import Unreadable


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Any set of runs as a table."""

    rows: tuple[Experiment, ...]
    """By data set, model and method, each in the paper's order."""
    notes: tuple[str, ...]
    """Sentences to print under the table."""
    unreadable: tuple[Unreadable, ...] = ()
    """What could not be read, so that no score is of it."""

    @property
    def data_sets(self) -> list[str]:
        """The data sets in the order of the rows."""
        return list(dict.fromkeys(row.data for row in self.rows))

    def of(self, data: str) -> list[Experiment]:
        """The rows of one data set."""
        return [row for row in self.rows if row.data == data]

    @property
    def compared(self) -> list[Experiment]:
        """The rows with a comparison; of rows that share one, as repeats do, the first."""
        first: dict[int, Experiment] = {}
        for row in self.rows:
            if row.comparison:
                first.setdefault(id(row.comparison), row)
        return list(first.values())


def summarise(runs: Sequence[Run], unreadable: Sequence[Unreadable] = ()) -> Summary:
    """Tabulate runs: scores over seeds, the paper's values, and the paired test against each baseline.

    Args:
        runs: what `search_runs` found.
        unreadable: what it found that cannot be read; the table says so.

    Raises:
        CheckpointError: a finished seed's history is damaged.
        UsageError: a test AUC is no number from 0 to 1.
    """
    known_by = zip(runs, told_apart(runs), against_baselines(runs), strict=True)
    unsorted = [experiment_of(run, distinction, comparison) for run, distinction, comparison in known_by]
    rows = tuple(sorted(unsorted, key=_papers_order()))
    return Summary(rows=rows, notes=tuple(notes(rows, unreadable)), unreadable=tuple(unreadable))


def _papers_order() -> Callable[[Experiment], tuple[object, ...]]:
    """A sorting key: the paper's data sets, models and methods in its order, then others by name."""
    axes = read_grid("table1").axes
    models, methods = list(axes["model"]), list(axes["method"])

    def order(row: Experiment) -> tuple[object, ...]:
        base = row.method.split(",")[0]
        return (
            *_rank(row.data.lower(), list(presets())),
            row.data,
            *_rank(row.model, models),
            *_rank(base, methods),
            -row.run.config.view.masks,
            row.method,
            row.distinction,
        )

    return order


def _rank(name: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known)), name
