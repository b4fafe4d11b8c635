"""Who wants to know how training goes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from activmask.training.replicas.replica import Replica


class Watcher(Protocol):
    """Somebody who is told of every step and epoch."""

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """`done` of `total` steps of one seed's epoch are over."""

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """One seed finished an epoch, with this history row."""

    def note(self, sentence: str) -> None:
        """Something about the whole training that is worth knowing."""


class Callback:
    """A watcher to derive one's own from: of each seed's training it hears what its methods are for.

    None of them does anything here. What they are shown is training's own: they look and do not change it.
    An exception ends training, and what was saved resumes. Under torchrun, only the process that writes
    tells; `start`, `saved` and `end` are told to those alone that derive from this class.
    """

    def start(self, replica: "Replica") -> None:
        """A seed's training begins or goes on: `replica.seed`, `.folder` and the rows of its `.history`."""

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """`done` of `total` steps of one seed's epoch, counted from 0, are over."""

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """One seed finished an epoch, with this row of `history.csv`.

        On CUDA, where epochs replay as recorded graphs, the network may be ahead of it; see `saved`.
        """

    def saved(self, replica: "Replica") -> None:
        """A seed's state was saved; `replica.judged` is the network after the last row of its history.

        It comes after each epoch, and less often on CUDA where epochs replay as recorded graphs.
        """

    def note(self, sentence: str) -> None:
        """Something about the whole training that is worth knowing."""

    def end(self, replica: "Replica", metrics: dict[str, Any]) -> None:
        """A seed was scored, as its `metrics.json`, which is written next, will say."""


class Silent(Callback):
    """A watcher that tells nobody."""


class Everyone(Callback):
    """Several watchers as one, each told in its turn."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        """Of those who are told, in their order."""
        self._watchers = tuple(watchers)
        self._callbacks = tuple(one for one in watchers if isinstance(one, Callback))

    def start(self, replica: "Replica") -> None:
        """Tell those who want to know."""
        with _told():
            for one in self._callbacks:
                one.start(replica)

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """Tell all."""
        with _told():
            for one in self._watchers:
                one.step(seed, epoch, done, total)

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """Tell all, each by a row of its own."""
        with _told():
            for one in self._watchers:
                one.epoch(seed, dict(row))

    def saved(self, replica: "Replica") -> None:
        """Tell those who want to know."""
        with _told():
            for one in self._callbacks:
                one.saved(replica)

    def note(self, sentence: str) -> None:
        """Tell all."""
        with _told():
            for one in self._watchers:
                one.note(sentence)

    def end(self, replica: "Replica", metrics: dict[str, Any]) -> None:
        """Tell those who want to know."""
        with _told():
            for one in self._callbacks:
                one.end(replica, metrics)


class _WatcherFailed(Exception):
    """That a watcher raised `error`: of no kind that an engine takes for a refusal of its device."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _WatcherFailed(error) from error


@contextmanager
def failures_of_watchers() -> Iterator[None]:
    """Let through what a watcher of `Everyone` raises, as it raised it."""
    try:
        yield
        return
    except _WatcherFailed as failure:
        error = failure.error
    raise error


def watchers_of(progress: Watcher | Sequence[Watcher] | None) -> tuple[Watcher, ...]:
    """Those who are told, be they none, one or several."""
    if progress is None:
        return ()
    return tuple(progress) if isinstance(progress, Sequence) else (progress,)


def tell_saved(progress: Watcher, replica: "Replica") -> None:
    """Tell whoever wants to know that a replica's state was saved."""
    if isinstance(progress, Callback):
        progress.saved(replica)
