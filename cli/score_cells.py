"""How tables of scores write checkpoints, runs and numbers."""

from activmask.evaluation.across_seeds import RunSpread
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.spread import Spread


def checkpoint_name(one: Evaluated) -> str:
    """The run and the seed where they are known, else the file."""
    if one.run is None:
        return str(one.path)
    kind = "" if one.path.stem == "best" else f", {one.path.stem}"
    return f"{one.run.name}, seed {one.seed}{kind}"


def number(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def run_name(row: RunSpread) -> str:
    """A run whose seeds are taken together."""
    kind = "" if row.kind == "best" else f", {row.kind}"
    lost = f", {row.unreadable} unreadable" if row.unreadable else ""
    return f"{row.run.name}{kind}, mean ± SD of {row.seeds} seeds{lost}"


def spread_text(value: Spread | None) -> str:
    """Mean ± SD, or a dash."""
    return "-" if value is None else f"{value.mean:.3f} ± {number(value.sd)}"
