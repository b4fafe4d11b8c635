"""What a sweep shows: its plan, and its cells while they run."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from rich.live import Live

from .console import err, out
from .durations import duration
from .progress import waiting
from .tables import ResultTable, print_table, result_table

if TYPE_CHECKING:
    from activmask.experiments.jobs import Job
    from activmask.experiments.sweep import CellState
    from activmask.ground.errors import ActivmaskError

_COLOURS = {"queued": "dim", "running": "cyan", "done": "green", "failed": "bold red", "not run": "red"}
_MOST_NAMED = 3
"""Cells of one problem that are named; more are counted."""

_ROWS_AROUND = 6
"""Lines of the terminal that the live table leaves to its own frame and to the prompt."""


class SweepTable:
    """The cells of a sweep: a live table where somebody watches, a line per change elsewhere."""

    def __init__(self, title: str) -> None:
        """Nothing is shown before the first call of `show`."""
        self._title = title
        self._told: dict[str, str] = {}
        self._pace = Pace()
        self._live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None

    def __enter__(self) -> "SweepTable":
        """Begin the live display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Take the live display away."""
        if self._live is not None:
            self._live.stop()

    def show(self, cells: Sequence["CellState"]) -> None:
        """Show how the cells stand now."""
        left = self._pace.left(cells)
        if self._live is not None:
            self._live.update(_live_table(self._title, cells, err.height - _ROWS_AROUND, left), refresh=True)
            return
        for state in cells:
            line = _line(state)
            if self._told.get(state.job.name, "queued") != line:
                err.print(f"{state.job.title}: {line}{_so_far(cells, left) if line == 'done' else ''}")
                self._told[state.job.name] = line


class Pace:
    """How long a sweep will still take, by the epochs that were trained since it began."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """By a clock in seconds."""
        self._now = now
        self._begun: tuple[float, int] | None = None

    def left(self, cells: Sequence["CellState"]) -> float | None:
        """Seconds, as if all epochs took equally long; None before one is over, and at the end."""
        done = sum(_epochs_done(state) for state in cells)
        missing = sum(_epochs(state) for state in cells if state.status in {"queued", "running"})
        missing -= sum(_epochs_done(state) for state in cells if state.status in {"queued", "running"})
        if self._begun is None:
            self._begun = self._now(), done
        start, before = self._begun
        if done <= before or not missing:
            return None
        return missing * (self._now() - start) / (done - before)


def _epochs(state: "CellState") -> int:
    from activmask.experiments.jobs import epochs_of

    return epochs_of(state.job.config) * len(state.job.seeds)


def _epochs_done(state: "CellState") -> int:
    from activmask.experiments.jobs import progress_of

    return _epochs(state) if state.status == "done" else progress_of(state.job).epochs


def _so_far(cells: Sequence["CellState"], left: float | None) -> str:
    done = sum(state.status == "done" for state in cells)
    more = "" if left is None else f", about {duration(left)} left"
    return f", {done} of {len(cells)}{more}"


def _line(state: "CellState") -> str:
    if state.found:
        return "done before"
    if state.status == "queued" and state.failures:
        last = state.error.rstrip().rpartition("\n")[2]
        return f"failed, will be tried again: {last}"
    return state.status


def _live_table(title: str, cells: Sequence["CellState"], height: int, left: float | None) -> ResultTable:
    done = sum(state.status == "done" for state in cells)
    more = "" if left is None else f", about {duration(left)} left"
    table = result_table(
        f"{title}: {done} of {len(cells)} done{more}",
        "cell",
        "status",
        "epochs of all seeds",
        "valid AUC, latest",
    )
    order = ["running", "failed", "not run", "queued", "done"]
    shown = list(cells)
    if len(cells) > height:
        shown = sorted(cells, key=lambda state: order.index(state.status))[: max(1, height)]
    for state in shown:
        table.add_row(state.job.title, *_cells(state), style=_COLOURS[state.status])
    if len(shown) < len(cells):
        table.caption = f"and {len(cells) - len(shown)} more"
    return table


def _cells(state: "CellState") -> tuple[str, str, str]:
    from activmask.experiments.jobs import progress_of

    if state.status == "queued":
        return ("failed once" if state.failures else "queued", "", "")
    if state.status == "not run":
        return (state.status, "", "")
    total = _epochs(state)
    if state.status == "done":
        return "done before" if state.found else "done", f"{total}/{total}", ""
    progress = progress_of(state.job)
    score = "" if progress.valid_auc is None else f"{progress.valid_auc:.3f}"
    return state.status, f"{progress.epochs}/{total}", score


def print_plan(title: str, jobs: Sequence["Job"], parallel: int) -> bool:
    """Print the cells, how many runs they are, and how long they would take on this machine.

    Returns:
        Whether all of them could be trained, as soon as their data are there.
    """
    from activmask.experiments.jobs import epochs_of
    from activmask.machine.device import cores
    from activmask.report.findings.words import count
    from activmask.runs.selection import selected_by
    from activmask.training.readiness import waits_for_data

    table = result_table(title, "cell", "seeds", "epochs", "left", "seconds per epoch", "time")
    times: list[float] = [0.0]
    problems: dict[str, list[str]] = {}
    could = True
    threads = max(1, cores() // parallel)
    for number, job in enumerate(jobs, 1):
        with waiting(f"measuring {number} of {len(jobs)}"):
            left, seconds, problem = _estimate(job, threads)
        if problem is not None:
            problems.setdefault(str(problem), []).append(job.title)
            could = could and waits_for_data(job.config, problem)
        times.append(left * (seconds or 0))
        table.add_row(
            job.title,
            str(len(job.seeds)),
            str(epochs_of(job.config)),
            str(left),
            "" if seconds is None else f"{seconds:.2f}",
            "" if seconds is None else duration(times[-1]),
        )
    print_table(table)
    for sentence, cells in problems.items():
        err.print(f"not measured: {sentence} ({_named(cells)})")
    out.print(f"the best epoch is selected by {selected_by(job.config for job in jobs)}")
    what = f"{count(len(jobs), 'cell')}, {count(sum(len(job.seeds) for job in jobs), 'run')}"
    if sum(map(len, problems.values())) == len(jobs):
        out.print(f"{what}; no cell could be measured, so it is not known how long they take")
        return could
    total = duration(max(sum(times) / parallel, *times))
    out.print(
        f"{what}; about {total} with {parallel} at once on this machine, "
        "scaled up from a few steps of each cell measured alone, saving not counted"
        + ("; cells that could not be measured are not in it" if problems else "")
    )
    return could


def _named(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - _MOST_NAMED} more" if len(cells) > _MOST_NAMED else ""
    return f"{', '.join(cells[:_MOST_NAMED])}{more}"


def _estimate(job: "Job", threads: int) -> tuple[int, float | None, "ActivmaskError | None"]:
    from activmask.experiments.estimate import epochs_left, seconds_per_epoch
    from activmask.ground.errors import ActivmaskError

    left = epochs_left(job)
    try:
        return left, seconds_per_epoch(job, threads=threads), None
    except ActivmaskError as error:
        return left, None, error
