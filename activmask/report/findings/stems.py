"""What data sets are called in the names of files and anchors."""

from collections.abc import Iterable
from itertools import count

from activmask.experiments.grid import slug

NAMELESS = "data"
"""Where nothing of a name is left, as of one without Latin letters or digits."""


def stem(data: str) -> str:
    """The name of a data set in ASCII, for example `my-hospital`, never empty."""
    return slug(data) or NAMELESS


def stems(data_sets: Iterable[str]) -> dict[str, str]:
    """A stem for every data set of a report, by its name; no two are the same."""
    found: dict[str, str] = {}
    for data in dict.fromkeys(data_sets):
        plain = stem(data)
        numbered = (f"{plain}-{number}" if number > 1 else plain for number in count(1))
        found[data] = next(name for name in numbered if name not in found.values())
    return found
