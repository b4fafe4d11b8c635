"""What the place of a mask does: networks trained with the masks of the data against those with a control's.

Masks at random places are as large and as many, so what is better with the masks of the data is made by where
they lie, and what is better with masks at random places than with no method at all, by how much is disturbed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from activmask.evaluation.paired import Difference, holm, paired_difference
from activmask.report.findings.networks import CONTROLS, Masks, Network
from activmask.runs.names import is_baseline
from activmask.runs.results import saw_same_images


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One kind of network minus another, in pairs of the same data, images and seed."""

    data: str
    """The data set; empty over all."""
    method: str
    """Empty over all."""
    control: Masks
    """Whose networks stand against those with the masks of the data, or against classification alone."""
    score: Difference
    """Of the test AUC, over seeds of data sets, each the mean over its pairs."""
    mass: Difference
    """Likewise of the share of the attribution inside the mask of the data."""
    adjusted_p: float
    """That of the score after Holm's correction: over all, for all that is compared over all; else for all
    methods and data sets with this control."""
    family: int
    """How many p values are corrected together, its own among them."""
    pairs: int
    """Of networks."""


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """What is made by where masks lie, and what by how much is disturbed."""

    overall: tuple[Contrast, ...]
    """The masks of the data minus a control's over all data sets and methods, one for each control."""
    single: tuple[Contrast, ...]
    """The same by data set and method."""
    amount: Contrast | None
    """Masks at random places minus classification alone, over all; None without pairs."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two networks of the same data, images and seed."""

    one: Network
    other: Network

    @property
    def block(self) -> tuple[str, int]:
        """The observation that it is part of: data set and seed."""
        return self.one.data, self.one.seed

    @property
    def kind(self) -> tuple[str, str]:
        """Data set and method."""
        return self.one.data, self.one.method


def contrasts(networks: Sequence[Network]) -> Contrasts:
    """Compare networks with the masks of the data, with controls' and without any, pair by pair.

    The observations are seeds of data sets: networks of one seed share its images, so the pairs of a seed are
    averaged over methods and weights first. Tests are those of `paired_difference`.
    """
    overall, single = [], []
    for control in CONTROLS:
        pairs = twins(networks, control)
        if not pairs:
            continue
        overall.append(_contrast("", "", control, pairs))
        by_kind = {
            kind: [one for one in pairs if one.kind == kind] for kind in dict.fromkeys(p.kind for p in pairs)
        }
        found = [_contrast(data, method, control, some) for (data, method), some in by_kind.items()]
        single += _corrected(found)
    plain = _against_plain(networks)
    total = _corrected([*overall, *([_contrast("", "", "random", plain)] if plain else [])])
    return Contrasts(
        overall=tuple(total[: len(overall)]),
        single=tuple(single),
        amount=total[-1] if plain else None,
    )


def _corrected(found: Sequence[Contrast]) -> list[Contrast]:
    adjusted = holm([one.score.p for one in found])
    return [replace(one, adjusted_p=p, family=len(found)) for one, p in zip(found, adjusted, strict=True)]


def twins(networks: Sequence[Network], control: Masks) -> list[Pair]:
    """Pairs that differ in the masks of their training alone, the one with those of the data first."""
    known = {(one.data, one.arm, one.seed): one for one in networks}
    pairs = [(known.get((one.data, one.twin, one.seed)), one) for one in networks if one.masks == control]
    return [
        Pair(one=given, other=one) for given, one in pairs if given is not None and _same_images(given, one)
    ]


def _against_plain(networks: Sequence[Network]) -> list[Pair]:
    plain = {(one.data, one.seed): one for one in networks if is_baseline(one.run.config)}
    pairs = [(one, plain.get((one.data, one.seed))) for one in networks if one.masks == "random"]
    return [
        Pair(one=one, other=other) for one, other in pairs if other is not None and _same_images(one, other)
    ]


def _same_images(one: Network, other: Network) -> bool:
    return saw_same_images(one.run, other.run, one.seed)


def _contrast(data: str, method: str, control: Masks, pairs: Sequence[Pair]) -> Contrast:
    score = _difference(pairs, lambda one: one.score)
    return Contrast(
        data=data,
        method=method,
        control=control,
        score=score,
        mass=_difference(pairs, lambda one: one.mass),
        adjusted_p=score.p,
        family=1,
        pairs=len(pairs),
    )


def _difference(pairs: Sequence[Pair], value: Callable[[Network], float]) -> Difference:
    """Over seeds of data sets, each the mean over its pairs."""
    blocks = dict.fromkeys(pair.block for pair in pairs)
    of = {block: [pair for pair in pairs if pair.block == block] for block in blocks}
    return paired_difference(
        [float(np.mean([value(pair.one) for pair in some])) for some in of.values()],
        [float(np.mean([value(pair.other) for pair in some])) for some in of.values()],
    )
