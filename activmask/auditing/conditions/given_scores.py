"""A table of scores that any system gave to the pictures of an export.

Shapes: n images that take part, K classes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from activmask.auditing.conditions.answers import Answers
from activmask.data.files.tables import CsvRow, read_table, separator_note, separator_of
from activmask.evaluation.scores import class_scores
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.listed import listed

FILE, SCORE = "file", "score"

_SUMS = 1e-3
"""By which probabilities written with few digits may miss a sum of 1."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class GivenScores:
    """The scores of pictures by name."""

    table: Path
    columns: tuple[str, ...]
    """One, or one per class."""
    scores: Mapping[str, tuple[float, ...]]
    """By picture, as the manifest names it."""
    notes: tuple[str, ...]
    """Sentences on what was passed over."""


def read_scores(table: Path, pictures: Sequence[str], classes: Sequence[str]) -> GivenScores:
    """Read the score or scores of every picture.

    Files may be named with folders before those of the manifest, as programs list them.

    Args:
        table: a CSV file.
        pictures: all that need scores, as the manifest names them.
        classes: names of the classes.

    Raises:
        DataError: the table is broken, its columns are none of scores, a score is no finite number, or a
            picture has none or two.
    """
    separator = separator_of(table, (FILE,))
    rows = read_table(table, (FILE,), separator=separator)
    columns, notes = _columns(table, rows[0], classes)
    notes += separator_note(table, separator)
    wanted = set(pictures)
    found: dict[str, tuple[float, ...]] = {}
    first: dict[str, int] = {}
    strangers = []
    for row in rows:
        name = _as_in_manifest(row[FILE])
        if name not in wanted:
            strangers.append(row)
            continue
        if name in first:
            raise DataError(
                f"{row[FILE]!r} has a score already, in row {first[name]}",
                path=table,
                row=row.number,
                advice="keep one",
            )
        first[name] = row.number
        found[name] = tuple(_number(table, row, column) for column in columns)
    missing = [name for name in pictures if name not in found]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(pictures)} pictures have no score in {PATH}: {_some(missing)}",
            path=table,
            found=f"{_some([row[FILE] for row in strangers])}, which the manifest does not name"
            if strangers
            else None,
            advice="predict every file that the manifest names",
        )
    if strangers:
        notes.append(
            f"{len(strangers)} row{'s' * (len(strangers) != 1)} of files that the manifest does not name "
            f"passed over: {_some([row[FILE] for row in strangers])}"
        )
    return GivenScores(table=table, columns=columns, scores=found, notes=tuple(notes))


def _as_in_manifest(name: str) -> str:
    return "/".join(name.replace("\\", "/").split("/")[-2:])


def _columns(table: Path, row: CsvRow, classes: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The columns of scores, and what is said of them and of the others."""
    others = [name for name in row.cells if name != FILE]
    notes = []
    per_class = _per_class(table, others, classes)
    if per_class:
        chosen = per_class
    elif len(classes) == 2 and SCORE in others:
        chosen = (SCORE,)
    elif len(classes) == 2 and len(others) == 1:
        if others[0] in _called(0, classes[0]):
            raise DataError(
                f"the one column of scores of {PATH} is of class {classes[0]}, and one score speaks for "
                f"{classes[1]}",
                path=table,
                found=repr(others[0]),
                advice=f"give that of {classes[1]}, or a column of each class",
            )
        chosen = (others[0],)
        notes.append(f"the column {others[0]} is taken as the score of class {classes[1]}")
    else:
        one = f"{SCORE}, the higher the likelier {classes[1]}, or " if len(classes) == 2 else ""
        raise DataError(
            f"{PATH} has no column of scores that can be told",
            path=table,
            expected=f"{one}one column per class: {listed(classes)}",
            found=", ".join(repr(name) for name in others) or "none beside 'file'",
        )
    left = [name for name in others if name not in chosen]
    if left:
        notes.append(f"column{'s' * (len(left) != 1)} passed over: {', '.join(left)}")
    return chosen, notes


def _per_class(table: Path, others: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """The column of each class, called by its name or number, alone or after the word score."""
    chosen = []
    for number, name in enumerate(classes):
        own = [column for column in others if column in _called(number, name)]
        if len(own) > 1:
            raise DataError(
                f"{PATH} has several columns of class {name}", path=table, found=", ".join(map(repr, own))
            )
        chosen += own
    return tuple(chosen) if len(chosen) == len(classes) == len(set(chosen)) else ()


def _called(number: int, name: str) -> set[str]:
    return {f"{before}{called}" for before in ("", "score ", "score_") for called in (name, str(number))}


def _number(table: Path, row: CsvRow, column: str) -> float:
    text = row[column]
    try:
        # Python reads 1_0 as 10.
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{column} must be a finite number",
            path=table,
            row=row.number,
            found=repr(text),
            advice="write decimals with a point" if "," in text else "predict the file again",
        )
    return value


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def answers_of(
    given: GivenScores,
    files: Mapping[str, Sequence[Sequence[str]]],
    classes: Sequence[str],
    threshold: float | None,
) -> tuple[dict[str, list[Answers]], list[str]]:
    """The answers of every condition and draw, and sentences on how scores were taken.

    Args:
        given: the scores.
        files: by condition, for each draw, the pictures of those who take part.
        classes: names of the classes.
        threshold: of one score, above which it decides for class 1.

    Raises:
        UsageError: a threshold where there is a score per class.
    """
    everything = np.array(list(given.scores.values()))
    if len(given.columns) > 1:
        if threshold is not None:
            raise UsageError(
                "a threshold has no effect on a score per class, of which the highest decides; leave it off"
            )
        shares = bool((everything >= 0).all() and (np.abs(everything.sum(axis=1) - 1) <= _SUMS).all())
        notes = [
            f"the columns {listed(given.columns)} are taken as {'probabilities' if shares else 'logits'}"
        ]
        return _each(given, files, lambda values: _of_classes(values, shares=shares)), notes
    if threshold is None and (everything < 0).any() | (everything > 1).any():
        note = "scores outside [0, 1] have no threshold of their own, so there is no accuracy; give one"
        return _each(given, files, lambda values: _of_one(values, None)), [note]
    above = 0.5 if threshold is None else threshold
    note = f"a score above {above:g} counts as {classes[1]}"
    return _each(given, files, lambda values: _of_one(values, above)), [note]


def _each(
    given: GivenScores,
    files: Mapping[str, Sequence[Sequence[str]]],
    taken: Callable[[NDArray[np.float64]], Answers],
) -> dict[str, list[Answers]]:
    return {
        name: [taken(np.array([given.scores[file] for file in one])) for one in drawn]
        for name, drawn in files.items()
    }


def _of_one(values: NDArray[np.float64], threshold: float | None) -> Answers:
    score = values[:, 0]
    first = None if threshold is None else (score > threshold).astype(np.int64)
    return Answers(values=np.stack([-score, score], axis=1), first=first)


def _of_classes(values: NDArray[np.float64], *, shares: bool) -> Answers:
    # Of two probabilities the difference ranks as either does.
    ranking = values if shares and values.shape[1] > 2 else class_scores(torch.from_numpy(values))
    return Answers(values=ranking, first=values.argmax(axis=1))
