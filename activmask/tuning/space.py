"""Where a search looks: ranges of numbers and choices of words, for any setting of a run but a few."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from activmask.data.settings import Source
from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.ground.settings import declared
from activmask.models.build import check_model
from activmask.models.settings import Network
from activmask.runs.description import RunConfig, all_settings
from activmask.runs.identity import OF_NO_EXPERIMENT, test_images
from activmask.runs.making import make_config
from activmask.runs.toml_file import parse_settings

Value = bool | int | float | str
_LOG = ":log"
_GAP = ".."
_OR = "|"

_NOT_SEARCHED = {
    **dict.fromkeys(declared(Source), "decides which images a run sees"),
    **dict.fromkeys(OF_NO_EXPERIMENT, "changes no result"),
    "preset": "decides which images a run sees",
    "evaluate_view": "decides what of an image the score is of",
    **dict.fromkeys(("select", "select_on"), "is what the search goes by"),
    "eval_train": "changes no result",
    "epochs": "is what every trial may cost",
}
"""Settings that no search chooses, and why: scores would not be of one thing."""

_MOST_CORNERS = 256
"""Combinations of ends and choices that are tried beforehand; of more, the first ones."""


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Where one setting is looked for: a range of numbers, or some values."""

    name: str
    ends: tuple[float, float] | None = None
    """Lowest and highest number, both included; None for a choice of `values`."""
    log: bool = False
    """Whether numbers are sampled evenly by their logarithm."""
    whole: bool = False
    """Whether it has whole numbers alone."""
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        """As `--over` takes it, but for the name."""
        if self.ends is None:
            return _OR.join(map(_spelled, self.values))
        low, high = self.ends
        return f"{low!r}{_GAP}{high!r}{_LOG if self.log else ''}"

    @property
    def extremes(self) -> tuple[Value, ...]:
        """Both ends, or all values."""
        return self.values if self.ends is None else self.ends

    @property
    def middle(self) -> Value:
        """Halfway, as it is sampled; of a choice the first."""
        if self.ends is None:
            return self.values[0]
        low, high = self.ends
        found = math.sqrt(low * high) if self.log else (low + high) / 2
        return round(found) if self.whole else found

    def place(self, value: float) -> float:
        """How far between its ends a number lies, as it is sampled: 0 is the lowest, 1 the highest."""
        assert self.ends is not None
        low, high = self.ends
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


def parse_over(texts: Sequence[str]) -> tuple[Dimension, ...]:
    """Dimensions written as `lr=1e-5..1e-2:log,model=cnn|resnet18`.

    Raises:
        UsageError: anything else, a setting that no search chooses, a value out of its range, or one twice.
    """
    found = tuple(_dimension(*pair) for text in texts for pair in _pairs(text))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is searched twice; give one range")
    if not found:
        raise UsageError("a search needs somewhere to look, such as lr=1e-5..1e-2:log")
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    """Names and ranges; a part without an equals sign belongs to the one before, as in augment=flips,crop."""
    joined: list[str] = []
    for part in text.split(","):
        if "=" in part or not joined:
            joined.append(part)
        else:
            joined[-1] += f",{part}"
    pairs = [part.partition("=") for part in joined]
    return [(name.strip().replace("-", "_"), value.strip()) for name, _, value in pairs]


def _dimension(name: str, text: str) -> Dimension:
    if name not in all_settings():
        raise UsageError(f"there is no setting '{name}' to search over; {nearest(name, all_settings())}")
    if name in _NOT_SEARCHED:
        raise UsageError(f"{name} cannot be searched over, as it {_NOT_SEARCHED[name]}; give it one value")
    known = all_settings()[name]
    log = text.endswith(_LOG)
    body = text.removesuffix(_LOG)
    if _GAP in body and known.kind in {int, float}:
        low, high = (parse_settings([f"{name}={end}"])[name] for end in body.split(_GAP, 1))
        return _range(name, low, high, log=log, whole=known.kind is int)
    if log or _OR not in body:
        raise UsageError(
            f"{name} is searched over a range such as 1e-3..1:log or a choice such as a|b", found=repr(text)
        )
    values = tuple(parse_settings([f"{name}={value}"])[name] for value in body.split(_OR))
    if len(set(values)) < len(values):
        raise UsageError(f"{name} has a value twice in its choice", found=repr(text))
    return Dimension(name=name, values=values)


def _range(name: str, low: float, high: float, *, log: bool, whole: bool) -> Dimension:
    if low >= high:
        raise UsageError(f"{name}: the range begins at {low:g} and ends at {high:g}; let it rise")
    if log and low <= 0:
        raise UsageError(f"{name}: a range on a log scale must begin above 0", found=f"{low:g}")
    ends = (low, high) if whole else (float(low), float(high))
    return Dimension(name=name, ends=ends, log=log, whole=whole)


def _spelled(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_space(settings: Mapping[str, Any], over: Sequence[Dimension]) -> None:
    """Refuse a search some of whose trials could not be trained, or would be scored on other images.

    Args:
        settings: of every trial.
        over: what each trial adds.

    Raises:
        UsageError: says which combination of ends and choices is at fault, and why.
    """
    for one in over:
        if one.name in settings:
            raise UsageError(f"{one.name} is both given and searched over; leave one out")
    seen: set[tuple[object, ...]] = set()
    networks: set[Network] = set()
    for values in islice(corners(over), _MOST_CORNERS):
        config = _config(settings, values)
        networks.add(config.network)
        seen.add(test_images(config))
        if len(seen) > 1:
            raise UsageError(
                f"with {_named(values)} trials would be scored on other images than the others, so that none "
                "could be compared; leave that out"
            )
    for network in networks:
        check_model(network)


def _config(settings: Mapping[str, Any], values: Mapping[str, Value]) -> RunConfig:
    try:
        return make_config(**{**settings, **values})
    except UsageError as error:
        raise UsageError(f"with {_named(values)}: {error}") from error


def corners(over: Sequence[Dimension]) -> Iterator[dict[str, Value]]:
    """Every combination of ends and choices."""
    names = [one.name for one in over]
    for values in product(*(one.extremes for one in over)):
        yield dict(zip(names, values, strict=True))


def middles(over: Sequence[Dimension]) -> Iterator[dict[str, Value]]:
    """Every combination of choices, with numbers from the middle of their ranges."""
    for values in product(*(one.values or (one.middle,) for one in over)):
        yield dict(zip([one.name for one in over], values, strict=True))


def _named(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} {in_words(value)}" for name, value in values.items())


def in_words(value: Value) -> str:
    """A value as people read it, for example `0.00123`."""
    return f"{value:.3g}" if isinstance(value, float) else _spelled(value)
