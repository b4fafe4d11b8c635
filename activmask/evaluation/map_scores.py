"""How well heat maps agree with masks: every metric's mean, its interval, and chance.

Shapes: N maps of H x W pixels, S subjects. Nothing here knows a network, and nothing loads PyTorch.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from activmask.data.files.limits import LARGEST
from activmask.data.subjects import refuse_unknown
from activmask.evaluation.localisation import EQUAL_AREA, METRICS, PerImage
from activmask.ground.errors import UsageError
from activmask.saliency.maps import Sign

ALL_METRICS = {**METRICS, **EQUAL_AREA}
CONFIDENCE = 0.95
RESAMPLES = 1000
_TOGETHER = 100
"""Resamples drawn at once, which bounds the memory: subjects times this many."""


@dataclass(frozen=True, kw_only=True)
class MapRow:
    """One metric over a set of maps."""

    metric: str
    mean: float
    """Over images."""
    low: float | None
    """Lower end of the 95 % interval of the mean; None for one subject."""
    high: float | None
    """Upper end."""
    sd: float | None
    """Over images (n - 1); None for one image."""
    chance: float
    """Mean over images of what a random map scores."""


@dataclass(frozen=True, kw_only=True)
class MapScores:
    """All metrics over a set of maps."""

    n: int
    """Maps whose mask covers some, but not all, of the image: those that are scored."""
    subjects: int
    """Whom they show; the interval is a bootstrap over them."""
    blank: int
    """Those among the scored whose every pixel counts the same; they score chance."""
    undefined: int
    """Maps whose mask is empty or covers everything, which nothing can hit or miss."""
    rows: tuple[MapRow, ...]
    """One per metric; empty when n is 0."""
    values: Mapping[str, PerImage]
    """By metric, each (N,)."""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and None of all but the single values, ready for `json.dumps`."""
        told = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del told["values"]
        return {**told, "rows": [dataclasses.asdict(row) for row in self.rows]}


def score(
    maps: ArrayLike,
    masks: ArrayLike,
    subjects: Sequence[object] | None = None,
    *,
    sign: Sign | None = None,
    seed: int = 0,
) -> MapScores:
    """Score heat maps against masks by every localisation metric, each beside its chance.

    Args:
        maps: real (N, H, W), finite.
        masks: (N, H, W) of True or 1 inside the region of interest, False or 0 outside.
        subjects: (N,) whom each map shows; None where each shows somebody else.
        sign: which values of maps with negative ones count; must be said for those.
        seed: of the bootstrap.

    Raises:
        UsageError: shapes that do not fit, values that are not finite, negative values without a sign,
            or masks of other values.
        DataError: a subject is not known.
    """
    try:
        inside, values = np.asarray(masks), np.asarray(maps)
    except (RuntimeError, TypeError, ValueError) as error:
        # As of tensors on a GPU, or with gradients.
        raise UsageError(
            "maps and masks must be arrays, or what NumPy makes one of", found=str(error).splitlines()[0]
        ) from error
    if values.ndim != 3 or values.shape != inside.shape:
        raise UsageError(
            "maps and masks must have one shape (N, H, W)", found=f"{values.shape} and {inside.shape}"
        )
    if values.dtype.kind not in "biuf" or not (np.abs(values.astype(np.float64)) <= LARGEST).all():
        raise UsageError(f"maps must hold finite real numbers, up to {LARGEST:g}")
    if not np.isin(inside, (0, 1)).all():
        raise UsageError("masks must hold True or 1 inside and False or 0 outside, and nothing else")
    whose = [str(one) for one in (range(len(values)) if subjects is None else subjects)]
    if len(whose) != len(values):
        raise UsageError("there must be one subject a map", found=f"{len(whose)} for {len(values)} maps")
    refuse_unknown(whose)
    negative = int((values < 0).any(axis=(1, 2)).sum())
    if negative and sign is None:
        raise unsaid_sign(negative, len(values))
    counted = counting_part(values.astype(np.float64), sign)
    found = {name: metric(counted, inside.astype(np.bool_)) for name, metric in ALL_METRICS.items()}
    return summarised(found, whose, is_blank(counted), seed=seed)


def unsaid_sign(negative: int, of: int) -> UsageError:
    """What to raise where maps hold negative values, and nobody said which sign counts."""
    return UsageError(
        f"{negative} of {of} maps hold negative values, so sign must be said: positive counts what speaks "
        "for a class, absolute what matters in either direction, as evaluate does"
    )


def counting_part(values: NDArray[np.float64], sign: Sign | None) -> NDArray[np.float64]:
    """What of the values counts, at least 0 if a sign is given."""
    if sign == "absolute":
        return np.abs(values)
    return np.maximum(values, 0) if sign == "positive" else values


def is_blank(maps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether every pixel of a map counts the same, bool (N,) of maps (N, H, W)."""
    return np.asarray(maps.min(axis=(1, 2)) == maps.max(axis=(1, 2)))


def summarised(
    values: Mapping[str, PerImage], subjects: Sequence[str], blank: NDArray[np.bool_], *, seed: int
) -> MapScores:
    """The metrics of images as means with intervals; images without a value take no part.

    Args:
        values: by metric, NaN in the same images for all of them.
        subjects: (N,) whom each image shows.
        blank: (N,) which maps are constant.
        seed: of the bootstrap.
    """
    table = np.stack([one.values for one in values.values()], axis=1)
    chance = np.stack([one.chance for one in values.values()], axis=1)
    defined = ~np.isnan(table).any(axis=1)
    n, whose = int(defined.sum()), np.asarray(subjects, dtype=object)[defined]
    low, high = _intervals(table[defined], whose, seed)
    rows = [
        MapRow(
            metric=name,
            mean=float(table[defined, k].mean()),
            low=low[k],
            high=high[k],
            sd=float(table[defined, k].std(ddof=1)) if n > 1 else None,
            chance=float(chance[defined, k].mean()),
        )
        for k, name in enumerate(values)
        if n
    ]
    return MapScores(
        n=n,
        subjects=len(set(whose.tolist())),
        blank=int(blank[defined].sum()),
        undefined=len(table) - n,
        rows=tuple(rows),
        values=values,
    )


def _intervals(
    table: NDArray[np.float64], subjects: NDArray[Any], seed: int
) -> tuple[list[float | None], list[float | None]]:
    """Percentiles of the mean over images when subjects are drawn anew, each with all of its images.

    Davison & Hinkley 1997, sec. 3.8: images of one subject are no independent draws.
    """
    names, whose = np.unique(subjects.astype(str), return_inverse=True)
    if len(names) < 2:
        return [None] * table.shape[1], [None] * table.shape[1]
    sums = np.zeros((len(names), table.shape[1]))
    np.add.at(sums, whose, table)
    counts = np.bincount(whose)
    rng, even = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    means = []
    for _ in range(RESAMPLES // _TOGETHER):
        times = rng.multinomial(len(names), even, size=_TOGETHER)
        means.append((times @ sums) / (times @ counts)[:, None])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return low.tolist(), high.tolist()
