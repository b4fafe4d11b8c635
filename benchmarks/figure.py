"""What a benchmark comes to: a ratio with its spread, and the aim it is held against."""

import statistics
from dataclasses import dataclass
from typing import Any, Literal

import torch

Unit = Literal["x", "share", "s", "AUC"]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Where a benchmark computes and how much of it."""

    device: torch.device
    quick: bool = False
    """Tiny sizes and one round: shows that the code runs, measures nothing."""

    rounds: int = 5
    """How often contestants take turns, at most."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure."""

    name: str
    """What was measured against what, and on how much work."""
    values: tuple[float, ...]
    """One a round."""
    unit: Unit = "x"
    """`x` and `share` are ratios of speeds, `s` seconds, `AUC` a difference of scores."""
    target: float | None = None
    """The aim; None where the figure only explains another."""
    at_most: bool = False
    """Whether the aim is an upper bound."""
    precision: str = "fp32"
    """Arithmetic of the measured side; empty where no network computes."""
    note: str = ""
    """What a reader has to know to judge it."""
    behind: dict[str, tuple[float, ...]] | None = None
    """What the values were made of: speeds by contestant, one a round, or scores by seed."""

    @property
    def median(self) -> float:
        """The value that is compared with the aim."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median meets the aim; None without one."""
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, the derived values included."""
        return {
            "name": self.name,
            "median": self.median,
            "least": min(self.values),
            "greatest": max(self.values),
            "rounds": len(self.values),
            "unit": self.unit,
            "target": self.target,
            "at_most": self.at_most,
            "reached": self.reached,
            "precision": self.precision,
            "note": self.note,
            "values": list(self.values),
            "behind": self.behind,
        }
