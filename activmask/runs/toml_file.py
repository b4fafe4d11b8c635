"""A run's description as TOML: read with every mistake named, written so that it reads back the same."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activmask.ground.errors import PATH, ConfigError, UsageError
from activmask.ground.limits import RUN_SEEDS
from activmask.ground.shown import is_seen
from activmask.ground.texts import decoded_text
from activmask.runs.description import RunConfig, written
from activmask.runs.making import check_values
from activmask.runs.searched import SEARCHED, Searched, is_searched, searched_from

LONGEST_RANGE = 10_000
"""Of seeds: so many trainings of one experiment nobody waits for."""
_MOST_DIGITS = 10
_SEEDS = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a TOML file of settings tells."""

    settings: dict[str, Any]
    seeds: tuple[int, ...] | None
    """None where it names none."""
    searched: Searched | None
    """The search that chose the settings; None where none did."""


def read_config(path: Path) -> tuple[dict[str, Any], tuple[int, ...] | None]:
    """The settings of a TOML file, and its `seeds` if it names any.

    Raises:
        ConfigError: the file is missing, no TOML, or a setting in it is wrong.
    """
    told = read_told(path)
    return told.settings, told.seeds


def read_told(path: Path) -> Told:
    """As `read_config`, with the search that chose the settings, if one did (raises ConfigError)."""
    try:
        settings = tomllib.loads(decoded_text(path))
    except OSError as error:
        raise ConfigError(f"{PATH} cannot be read ({error.strerror})", path=path) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{PATH} cannot be read as TOML ({error})", path=path) from error
    try:
        seeds, searched = settings.pop("seeds", None), settings.pop(SEARCHED, None)
        if searched is not None and not is_searched(searched):
            raise UsageError(f"[{SEARCHED}] is not what search wrote; leave it out, or as it was")
        check_values(settings)
        return Told(
            settings=settings,
            seeds=None if seeds is None else parse_seeds(str(seeds)),
            searched=searched_from(searched),
        )
    except UsageError as error:
        raise error.retold(ConfigError, path=path) from error


def format_config(config: RunConfig, seeds: Sequence[int]) -> str:
    """The complete description as TOML that `read_config` reads back to the same run."""
    return as_toml({"seeds": format_seeds(seeds), **written(config)})


def as_toml(table: Mapping[str, Any]) -> str:
    """A table as TOML that holds no character that is not seen.

    Raises:
        UsageError: a text in it holds bytes that are no text.
    """
    import tomli_w

    text = tomli_w.dumps(table)
    return "".join(char if char == "\n" or is_seen(char) else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    """A character inside of a TOML string; only such can be unseen."""
    if "\ud800" <= char <= "\udfff":
        raise UsageError("a setting holds bytes that are no text, which TOML cannot; rename what it names")
    return f"\\U{ord(char):08x}"


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds written as numbers and ranges, for example `0-9` or `0,3,7-8`.

    Raises:
        UsageError: anything else, a range that runs backwards, or a seed named twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = _SEEDS.fullmatch(part.strip())
        if not found:
            raise UsageError("seeds are numbers and ranges such as 0-9 or 0,3,7", found=repr(text))
        start, stop = int(found[1]), int(found[2] or found[1])
        if stop < start or stop - start >= LONGEST_RANGE:
            raise UsageError(
                f"seeds: the range {part.strip()} is empty or of more than {LONGEST_RANGE:,} seeds"
            )
        RUN_SEEDS.check("a seed", stop)
        seeds.extend(range(start, stop + 1))
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"seeds: {text!r} names a seed twice")
    return tuple(seeds)


def count_or_seeds(text: str) -> tuple[int, ...]:
    """The first seeds, as many as a whole number says; or those of `parse_seeds`.

    Raises:
        UsageError: neither, or more than `LONGEST_RANGE`.
    """
    if not (text.isascii() and text.isdigit()):
        return parse_seeds(text)
    if not 1 <= len(text) <= _MOST_DIGITS or not 1 <= int(text) <= LONGEST_RANGE:
        raise UsageError(
            f"the number of seeds must be from 1 to {LONGEST_RANGE:,}", found=text[:_MOST_DIGITS]
        )
    return tuple(range(int(text)))


def format_seeds(seeds: Sequence[int]) -> str:
    """The inverse of `parse_seeds`, consecutive seeds as one range."""
    groups: list[list[int]] = []
    for seed in seeds:
        if groups and seed == groups[-1][-1] + 1 and len(groups[-1]) < LONGEST_RANGE:
            groups[-1].append(seed)
        else:
            groups.append([seed])
    return ",".join(f"{g[0]}-{g[-1]}" if len(g) > 1 else str(g[0]) for g in groups)


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Settings written as `name=value`, values as in TOML; a bare word is a string.

    Raises:
        UsageError: an entry that is no pair, or an unknown or wrong setting.
    """
    settings = dict(_pair(pair) for pair in pairs)
    check_values(settings)
    return settings


def _pair(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise UsageError("a setting is written name=value, such as width=16", found=repr(pair))
    try:
        return name.strip().replace("-", "_"), tomllib.loads(f"value = {value}")["value"]
    # Beside what is no TOML, numbers of thousands of digits and brackets in thousands.
    except (ValueError, RecursionError):
        return name.strip().replace("-", "_"), value.strip()
