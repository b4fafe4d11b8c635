"""That a search chose a run's settings, or tries them: what it searched, and what that cost.

It stands in the winner's TOML, and from there in `run.json`. It decides nothing of a training; tables draw
no conclusion between runs whose settings had unequal care.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from activmask.runs.written_values import Check, is_count, is_positive, is_text, mapping_to, what_is_wrong

SEARCHED = "searched"
"""The key that it stands under in TOML and JSON."""


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A search, and which of its trials a run is of."""

    over: dict[str, str]
    """By setting, where it was looked for, for example `1e-05..0.01:log` or `cnn|resnet18`."""
    trials: int
    """How many it was given."""
    seeds: str
    """On which seeds each was scored, for example `0-2`."""
    epochs: int
    """For how many epochs each was trained at most."""
    prune: str
    """By what hopeless trials were given up; `none` where none were."""
    select: str
    """The validation score that it went by: `auc`, `accuracy`, `loss` or `worst_group`."""
    select_on: str
    """The validation split of that score: `valid` or `valid_iid`."""
    sampler: str
    """What proposed the trials."""
    trial: int
    """Which of them, from 0 on."""
    winner: bool
    """Whether the search chose it; False is a trial as any other."""


_ENTRIES: dict[str, Check] = {
    "over": mapping_to(is_text),
    "trials": is_positive,
    "seeds": is_text,
    "epochs": is_positive,
    "prune": is_text,
    "select": is_text,
    "select_on": is_text,
    "sampler": is_text,
    "trial": is_count,
    "winner": lambda value: isinstance(value, bool),
}


def is_searched(found: Any) -> bool:
    """Whether an entry of a file is one of `Searched`."""
    return (
        isinstance(found, dict)
        and found.keys() == _ENTRIES.keys() == {field.name for field in fields(Searched)}
        and not what_is_wrong(found, _ENTRIES)
    )


def searched_from(found: Mapping[str, Any] | None) -> Searched | None:
    """What such an entry says; None where there is none."""
    return None if found is None else Searched(**found)


def searched_to_json(searched: Searched | None) -> dict[str, Any]:
    """The entry of a description, or of TOML; none where no search was."""
    return {SEARCHED: asdict(searched)} if searched else {}
