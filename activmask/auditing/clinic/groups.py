"""The same scores for every value of a metadata column, and the worst group beside random groups.

Shapes: N images, K classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from activmask.auditing.clinic.curves import auc
from activmask.auditing.clinic.decisions import Classes, accuracy, mean_rates
from activmask.auditing.clinic.score import Score, draws
from activmask.data.subjects import strata
from activmask.evaluation.resampled import Floats
from activmask.evaluation.scores import macro_auc

FEWEST = 10
"""Images below which a group is not scored."""

_MOST_NUMBERS = 10
"""Distinct numbers up to which each is a group of its own; more are cut into quarters."""

_SHUFFLES = 200

Texts = NDArray[np.object_]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The images with one value of a column."""

    value: str
    n: int
    subjects: int
    per_class: tuple[int, ...]
    """(K,) images of each class."""
    reason: str | None
    """Why it is not scored."""
    auc: Score | None = None
    """Of two classes, else the mean of one against the rest."""
    accuracy: Score | None = None
    sensitivity: Score | None = None
    """Of class 1 of two, else the mean over classes by the highest output."""
    specificity: Score | None = None


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The scored group of the lowest AUC."""

    value: str
    auc: float
    among: int
    """Scored groups: the lowest of several is low by chance too."""
    chance: float
    """The mean of the lowest AUC of as many random groups."""
    chance_low: float
    """The 5 % quantile of it: a lower AUC is no matter of chance (95 %, one column)."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metadata column."""

    name: str
    groups: tuple[Group, ...]
    """By value, quarters of a column of many numbers by size."""
    small: int
    """Further values of fewer than `FEWEST` images each, not scored."""
    small_images: int
    """Images with these."""
    unknown: int
    """Images without a value."""
    worst: Worst | None
    """None with fewer than two scored groups."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What groups are scored by."""

    scores: Floats
    """(N, K), by which AUCs rank the images of each class against the rest."""
    decided: Classes | None
    """(N,), the class each image was given; None where nothing decides."""
    labels: Classes
    """(N,)."""
    subjects: Texts
    """(N,)."""

    def at(self, rows: NDArray[np.int64]) -> "Judged":
        """The same for some of the images."""
        return Judged(
            scores=self.scores[rows],
            decided=None if self.decided is None else self.decided[rows],
            labels=self.labels[rows],
            subjects=self.subjects[rows],
        )


def by_column(judged: Judged, columns: Mapping[str, Sequence[str]], *, seed: int) -> tuple[Column, ...]:
    """The scores of every value of every column (N,) that has two values or more; empty text is none."""
    found = []
    for name, texts in columns.items():
        values = np.array(_in_quarters(texts), dtype=object)
        if len(set(values.tolist()) - {""}) > 1:
            found.append(_column(name, values, judged, seed))
    return tuple(found)


def _column(name: str, values: Texts, judged: Judged, seed: int) -> Column:
    counts = Counter(value for value in values if value != "")
    large = [value for value in counts if counts[value] >= FEWEST]
    groups = [_group(value, judged.at(np.flatnonzero(values == value)), seed) for value in large]
    small = {value: n for value, n in counts.items() if n < FEWEST}
    return Column(
        name=name,
        groups=tuple(sorted(groups, key=lambda group: _sort_key(group.value))),
        small=len(small),
        small_images=sum(small.values()),
        unknown=len(values) - counts.total(),
        worst=_worst(groups, values, judged, seed),
    )


def _group(value: str, judged: Judged, seed: int) -> Group:
    labels, classes = judged.labels, judged.scores.shape[1]
    per_class = np.bincount(labels, minlength=classes)
    missing = np.flatnonzero(per_class == 0).tolist()
    group = Group(
        value=value,
        n=len(labels),
        subjects=len(set(judged.subjects.tolist())),
        per_class=tuple(per_class.tolist()),
        reason=f"no image of class {', '.join(map(str, missing))}" if missing else None,
    )
    if missing:
        return group
    counts = draws(labels, judged.subjects, seed)
    area, decided = auc(judged.scores, labels, counts), judged.decided
    if decided is None:
        return replace(group, auc=area)
    sensitivity, specificity = mean_rates(decided, labels, counts, classes)
    return replace(
        group,
        auc=area,
        accuracy=accuracy(decided, labels, counts),
        sensitivity=sensitivity,
        specificity=specificity,
    )


def _worst(groups: Sequence[Group], values: Texts, judged: Judged, seed: int) -> Worst | None:
    told = {group.value: group.auc.value for group in groups if group.auc and group.auc.value is not None}
    if len(told) < 2:
        return None
    value = min(told, key=lambda name: told[name])
    rng = np.random.default_rng(seed)
    lowest = [_lowest(_shuffled(values, judged, rng), list(told), judged) for _ in range(_SHUFFLES)]
    return Worst(
        value=value,
        auc=told[value],
        among=len(told),
        chance=float(np.nanmean(lowest)),
        chance_low=float(np.nanquantile(lowest, 0.05)),
    )


def _lowest(values: Texts, names: Sequence[str], judged: Judged) -> float:
    groups = [judged.at(np.flatnonzero(values == name)) for name in names]
    classes = judged.scores.shape[1]
    whole = [one for one in groups if len(np.unique(one.labels)) == classes]
    return min((macro_auc(one.scores, one.labels) for one in whole), default=float("nan"))


def _shuffled(values: Texts, judged: Judged, rng: np.random.Generator) -> Texts:
    """The values dealt out anew within each class: to subjects where each has one value, else to images."""
    first = dict(zip(judged.subjects[::-1], values[::-1], strict=True))
    whole = all(first[name] == value for name, value in zip(judged.subjects, values, strict=True))
    whose = judged.subjects if whole else np.array([str(k) for k in range(len(values))], dtype=object)
    held = dict(zip(whose, values, strict=True))
    dealt: dict[str, str] = {}
    for names in strata(whose, judged.labels):
        order = rng.permutation(len(names))
        dealt.update(zip(names, [held[names[k]] for k in order], strict=True))
    return np.array([dealt[name] for name in whose.tolist()], dtype=object)


def _in_quarters(texts: Sequence[str]) -> list[str]:
    """The values of a column; of many numbers the quarter of the images that each lies in."""
    numbers = [_number(text) for text in texts]
    given = np.array([number for number in numbers if number is not None])
    wanted = sum(text != "" for text in texts)
    if len(given) < wanted or len(np.unique(given)) <= _MOST_NUMBERS:
        return list(texts)
    ends = np.unique(np.quantile(given, [0.25, 0.5, 0.75]))
    quarter = np.searchsorted(ends, given)
    names = {
        k: f"{given[quarter == k].min():g} to {given[quarter == k].max():g}" for k in set(quarter.tolist())
    }
    return ["" if number is None else names[int(np.searchsorted(ends, number))] for number in numbers]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _sort_key(value: str) -> tuple[float, str]:
    number = _number(value.split(" to ", maxsplit=1)[0])
    return (np.inf if number is None else number, value)
