"""Progress on stderr: bars where somebody watches, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from activmask.ground.progress import ItemsDone

from .console import err

_DESCRIPTION = TextColumn("{task.description}", markup=False)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Say what is done while somebody watches; yields how to say it anew."""
    spinner = "dots" if err.encoding.startswith("utf") else "line"
    with err.status(err.render_str(what), spinner=spinner) as status:
        yield lambda now: status.update(err.render_str(now))


@contextmanager
def counting(what: str) -> Iterator[ItemsDone | None]:
    """A bar that counts items; None where nobody watches."""
    if not err.is_terminal:
        yield None
        return
    columns = (_DESCRIPTION, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class TrainingProgress:
    """What `train` tells of its steps and epochs: a line per epoch, in a terminal a bar below."""

    def __init__(self, seeds: int, epochs: int) -> None:
        """For `seeds` replicas of `epochs` epochs each."""
        self._runs = seeds * epochs
        self._epochs = epochs
        self._finished = 0
        self._seeds = seeds
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "TrainingProgress":
        """Open the bar, if there is a terminal to draw it on."""
        if err.is_terminal:
            self._bar = Progress(
                _DESCRIPTION,
                BarColumn(bar_width=20),
                TimeElapsedColumn(),
                TextColumn("left", markup=False),
                TimeRemainingColumn(elapsed_when_finished=False),
                console=err,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """Move the bar; the first epoch told of says how many were finished before this command."""
        if self._bar is None or self._task is None:
            return
        if self._bar.tasks[0].total is None:
            self._bar.update(self._task, total=(self._runs - epoch * self._seeds) * total)
        now = f"{self._who(seed)}epoch {epoch + 1} of {self._epochs}"
        self._bar.update(self._task, completed=self._finished * total + done, description=now)

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """Print the epoch's losses and scores."""
        self._finished += 1
        err.print(f"{self._who(seed)}{_epoch_line(row, self._epochs)}")

    def note(self, sentence: str) -> None:
        """Print it above the bar."""
        err.print(sentence)

    def _who(self, seed: int) -> str:
        return f"seed {seed} " if self._seeds > 1 else ""


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    losses = " ".join(f"{name[5:]} {row[name]:.3g}" for name in row if name.startswith("loss_"))
    return f"{row['epoch'] + 1}/{epochs} epochs {losses} valid AUC {row['valid_auc']:.3f}"
