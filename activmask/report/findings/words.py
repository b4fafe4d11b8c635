"""Numbers and names as prose has them."""

from collections.abc import Sequence


def count(number: int, thing: str) -> str:
    """A number with its noun, for example `2 seeds`."""
    return f"{number} {thing}{'s' if number != 1 else ''}"


def joined(names: Sequence[str]) -> str:
    """Names as prose lists them, for example `Liver, Cardiac and Pancreas`."""
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])
