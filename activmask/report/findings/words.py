"""Numbers as prose has them."""

from activmask.evaluation.spread import Spread
from activmask.experiments.printed import Printed

MINUS = "−"
"""The typographer's, which every number has."""


def count(number: int, thing: str) -> str:
    """A number with its noun, for example `2 seeds`."""
    return f"{number} {thing}{'s' if number != 1 else ''}"


def signed(number: float, *, digits: int = 2) -> str:
    """A number with its sign; 0 has none."""
    text = f"{number:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """From where to where, for example `−0.10 to +0.30`; empty where there is no interval."""
    return "" if low is None or high is None else f"{signed(low)} to {signed(high)}"


def p_value(p: float) -> str:
    """A p with three digits that count."""
    return f"{p:.3g}"


def mean_sd(value: Spread | Printed, digits: int = 2) -> str:
    """A mean with its SD where it has one, for example `0.98 ± 0.01`."""
    sd = "" if value.sd is None else f" ± {value.sd:.{digits}f}"
    return f"{value.mean:.{digits}f}{sd}"
