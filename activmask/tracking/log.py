"""What a tracker keeps of one seed, whichever it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from activmask.ground.errors import PATH, DataError
from activmask.ground.files import write_json
from activmask.ground.refusals import make_folder
from activmask.ground.shown import shown

FOLDER = "tracking"
"""Of what is tracked, in a seed's folder."""

Known = set[tuple[str, int]]
"""Names of values and pictures, each with a step at which it is kept already."""


_RUN = "run_sha256"


class Log(Protocol):
    """One tracked run, of one seed."""

    def known(self) -> Known:
        """What it keeps already, from before a kill."""

    def settings(self, values: Mapping[str, str | float]) -> None:
        """Keep a run's settings; those that are kept already stay."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep values of one step."""

    def picture(self, step: int, name: str, png: bytes) -> None:
        """Keep a picture of one step."""

    def finished(self) -> None:
        """The seed is scored."""


def plain_settings(values: Mapping[str, Any]) -> dict[str, str | float]:
    """Settings as trackers take them: numbers, and texts of characters that are seen."""
    return {
        name: value if isinstance(value, bool | int | float) else shown(value)
        for name, value in values.items()
    }


def mark_of(seed_folder: Path, tracker: str, run_sha256: str) -> dict[str, str]:
    """What a tracker left in a seed's folder to know its run again; empty where that was another run.

    Raises:
        DataError: the file is damaged.
    """
    path = _mark(seed_folder, tracker)
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _damaged(path, "no JSON object of texts")
    return found if found.get(_RUN) == run_sha256 else {}


def leave_mark(seed_folder: Path, tracker: str, run_sha256: str, **more: str) -> None:
    """Leave what `mark_of` finds (raises DataError where the file system refuses)."""
    path = _mark(seed_folder, tracker)
    make_folder(path.parent)
    write_json(path, {_RUN: run_sha256, **more})


def _mark(seed_folder: Path, tracker: str) -> Path:
    return seed_folder / FOLDER / f"{tracker}.json"


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{PATH} is damaged ({why})", path=path, advice="remove it to begin a new tracked run")


def tracked_folder(seed_folder: Path, tracker: str) -> Path:
    """Where a tracker's files of one seed lie, or what tells it again."""
    return seed_folder / FOLDER / tracker
