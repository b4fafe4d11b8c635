"""Who wants to know how training goes."""

from typing import Any, Protocol


class Watcher(Protocol):
    """Somebody who is told of every step and epoch."""

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """`done` of `total` steps of one seed's epoch are over."""

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """One seed finished an epoch, with this history row."""

    def note(self, sentence: str) -> None:
        """Something about the whole training that is worth knowing."""


class Silent:
    """A watcher that tells nobody."""

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """Say nothing."""

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """Say nothing."""

    def note(self, sentence: str) -> None:
        """Say nothing."""
