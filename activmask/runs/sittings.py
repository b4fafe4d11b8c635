"""When, where and by whose command a seed was trained, which says nothing of what it is.

A run that was interrupted has several sittings. They stand in `run.json` alone: no checkpoint has them, and
no digest is drawn of them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from activmask.runs.folder import RUN_FILE
from activmask.runs.written_values import Check, is_text, what_is_wrong

SITTINGS = "sittings"
"""The key of the description under which they are listed, the latest last."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks for a training."""

    command: str
    """The command line as it was given; empty where there was none."""
    folder: str
    """Where it was given."""
    commit: str = ""
    """The git revision of that folder; empty outside of a repository, or where git did not say."""
    changed: bool | None = None
    """Whether files that git keeps differed from it; None where git did not say."""
    title: str = ""
    """What the caller calls the run; empty where its settings name it well enough."""


@dataclass(frozen=True, kw_only=True)
class Sitting(Caller):
    """One stretch of a seed's training."""

    began: str
    """Date and time (UTC, ISO 8601)."""
    host: str
    """The name of the machine that trained."""

    @property
    def began_in_words(self) -> str:
        """To the minute, for example `2026-03-01 12:00 UTC`; as it was written where that is no time."""
        try:
            return f"{datetime.fromisoformat(self.began).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        except (ValueError, OverflowError):
            return self.began

    @property
    def revision(self) -> str:
        """In words, for example `1a2b3c4d5e6f, with changes`; empty where nothing is known."""
        changes = {True: ", with changes", False: "", None: ", perhaps with changes"}
        return f"{self.commit[:12]}{changes[self.changed]}" if self.commit else ""


def sitting(caller: Caller, *, now: datetime, host: str) -> Sitting:
    """A stretch that begins now.

    Args:
        caller: who asks for it.
        now: with its time zone.
        host: the name of the machine that trains.
    """
    began = now.astimezone(UTC).isoformat(timespec="seconds")
    return Sitting(**asdict(caller), began=began, host=host)


_TEXTS: dict[str, Check] = dict.fromkeys(("command", "folder", "commit", "title", "began", "host"), is_text)
_ENTRIES: dict[str, Check] = {**_TEXTS, "changed": lambda value: value is None or isinstance(value, bool)}


def read_sittings(folder: Path) -> tuple[Sitting, ...]:
    """The sittings of a seed, the latest last.

    They are told to people and decide nothing, so what is damaged is none.

    Args:
        folder: the seed's.

    Returns:
        Nothing where an earlier version trained it, or a program that told of no caller.
    """
    try:
        found = json.loads((folder / RUN_FILE).read_bytes())[SITTINGS]
        if not isinstance(found, list):
            return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(Sitting(**one) for one in found if _is_sitting(one))


def _is_sitting(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and found.keys() == _ENTRIES.keys()
        and not what_is_wrong(found, _ENTRIES, tuple(_ENTRIES))
    )


def sittings_to_json(sittings: Sequence[Sitting]) -> dict[str, Any]:
    """The entry of a description; none where nothing is known of any."""
    return {SITTINGS: [asdict(one) for one in sittings]} if sittings else {}
