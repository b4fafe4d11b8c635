"""How much of an attribution map lies inside the region of interest.

Shapes: N images, H x W pixels, P = H * W. Every metric is a function of

    attribution: float (N, H, W), finite and at least 0;
    masks: bool (N, H, W), True inside the region of interest;

and gives, per image, its value and the level chance reaches. Ties are never broken by position:
where pixels of equal attribution compete, a metric takes the expectation over a random order of
them, so a constant map scores chance. A map that is 0 everywhere counts as a constant one. Images
whose mask is empty or covers everything have neither hits nor misses: their value and chance are NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from activmask.saliency.maps import TOP_SHARE, mass_inside, top_count

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class PerImage:
    """One metric of every image."""

    values: Floats
    """(N,), NaN where the mask is empty or full."""
    chance: Floats
    """(N,), the expectation for a random map, NaN in the same places."""


def relevance_mass(attribution: Floats, masks: Masks) -> PerImage:
    """Relevance mass accuracy: the share of the attribution's sum that is inside the mask.

    Arras et al. 2022 (arXiv 2003.07258). Chance is f = |M| / P.
    """
    flat, inside = _flat(attribution, masks)
    chance = inside.mean(axis=1)
    shares = mass_inside(flat, inside)
    return _where_defined(np.where(np.isnan(shares), chance, shares), chance, inside)


def relevance_rank(attribution: Floats, masks: Masks) -> PerImage:
    """Relevance rank accuracy: of the |M| pixels of highest attribution, the share inside the mask.

    Arras et al. 2022 (arXiv 2003.07258). Chance is f = |M| / P.
    """
    flat, inside = _flat(attribution, masks)
    area = inside.sum(axis=1)
    hits = _hits_among_top(flat, inside, np.maximum(area, 1))
    return _where_defined(hits / np.maximum(area, 1), inside.mean(axis=1), inside)


def top_share_iou(attribution: Floats, masks: Masks, share: float = TOP_SHARE) -> PerImage:
    """Intersection over union of the mask and the `share` of pixels of highest attribution.

    k = round(share * P), at least 1. Unless |M| = k, even a perfect map stays below 1: the best
    value is min(k, |M|) / max(k, |M|). Chance is the mean over random choices of k pixels, whose
    hits are hypergeometric.
    """
    flat, inside = _flat(attribution, masks)
    pixels, area = inside.shape[1], inside.sum(axis=1)
    k = top_count(pixels, share)
    chance = np.array([_expected_iou(0, pixels, int(a), k, int(a), k) for a in area])
    values = np.array([_iou_of_top(one, mask, k) for one, mask in zip(flat, inside, strict=True)])
    return _where_defined(values, chance, inside)


def equal_area_iou(attribution: Floats, masks: Masks) -> PerImage:
    """Intersection over union of the mask T and as many pixels P of highest attribution, |P| = |T|.

    The threshold of the authors' follow-up (ICLR 2021), whose intersections over prediction and over
    target are then one number, r: the relevance rank accuracy. Without ties the union is (2 - r) |T|, and
    this is r / (2 - r). Chance is the mean over random choices of |T| pixels.
    """
    flat, inside = _flat(attribution, masks)
    pixels = inside.shape[1]
    areas = [max(1, int(area)) for area in inside.sum(axis=1)]
    chance = np.array([_expected_iou(0, pixels, area, area, area, area) for area in areas])
    scored = zip(flat, inside, areas, strict=True)
    values = np.array([_iou_of_top(one, mask, area) for one, mask, area in scored])
    return _where_defined(values, chance, inside)


def pointing_game(attribution: Floats, masks: Masks, tolerance_px: float = 0.0) -> PerImage:
    """Pointing game: whether the pixel of highest attribution is in the mask, give or take a tolerance.

    Zhang et al. 2018 (doi 10.1007/s11263-017-1059-x), who allow 15 px on photographs; here 0 px unless
    asked, since 15 px would cover most of a small image. Several highest pixels score the share
    of them that hit. Chance is the share of the image within the tolerance.
    """
    flat, inside = _flat(attribution, masks)
    target = inside if tolerance_px == 0 else _within(masks, tolerance_px)
    highest = flat == flat.max(axis=1, keepdims=True)
    values = (highest & target).sum(axis=1) / highest.sum(axis=1)
    return _where_defined(values, target.mean(axis=1), inside)


def pixel_auc(attribution: Floats, masks: Masks) -> PerImage:
    """ROC AUC of the attribution as a score of "this pixel is inside the mask". Chance is 0.5."""
    # Importing it takes a second, which what was kept need not wait for.
    from scipy.stats import rankdata

    flat, inside = _flat(attribution, masks)
    area = inside.sum(axis=1)
    rank_sum = (rankdata(flat, axis=1) * inside).sum(axis=1)
    pairs = np.maximum(area * (inside.shape[1] - area), 1)
    values = (rank_sum - area * (area + 1) / 2) / pairs
    return _where_defined(values, np.full(len(flat), 0.5), inside)


METRICS: dict[str, Callable[[Floats, Masks], PerImage]] = {
    "relevance mass accuracy": relevance_mass,
    "relevance rank accuracy": relevance_rank,
    f"IoU of the top {100 * TOP_SHARE:g} %": top_share_iou,
    "pointing game (0 px)": pointing_game,
    "pixel ROC AUC": pixel_auc,
}
"""What `evaluate` measures of every network."""

EQUAL_AREA: dict[str, Callable[[Floats, Masks], PerImage]] = {
    "IoU at |P| = |T|": equal_area_iou,
    "IoP = IoT at |P| = |T|": relevance_rank,
}
"""What the authors' follow-up measures of a map whose highest pixels P are as many as the mask T has."""


def _flat(attribution: Floats, masks: Masks) -> tuple[Floats, Masks]:
    if attribution.shape != masks.shape or attribution.ndim != 3:
        raise ValueError(
            f"attribution and masks must both be (N, H, W); found {attribution.shape}, {masks.shape}"
        )
    if not (np.isfinite(attribution).all() and (attribution >= 0).all()):
        raise ValueError(
            "attribution must be finite and at least 0; take its absolute or positive part first"
        )
    return attribution.reshape(len(attribution), -1).astype(np.float64), masks.reshape(len(masks), -1)


def _where_defined(values: Floats, chance: Floats, inside: Masks) -> PerImage:
    partial = inside.any(axis=1) & ~inside.all(axis=1)
    return PerImage(np.where(partial, values, np.nan), np.where(partial, chance, np.nan))


def _hits_among_top(flat: Floats, inside: Masks, k: NDArray[np.int64]) -> Floats:
    """Expected number of the k highest pixels that are inside, (N,); k is (N,), at least 1."""
    ordered = np.sort(flat, axis=1)[:, ::-1]
    threshold = np.take_along_axis(ordered, k[:, None] - 1, axis=1)
    above, tied = flat > threshold, flat == threshold
    room = k - above.sum(axis=1)
    hits: Floats = (above & inside).sum(axis=1) + room * (tied & inside).sum(axis=1) / tied.sum(axis=1)
    return hits


def _iou_of_top(values: Floats, inside: Masks, k: int) -> float:
    """IoU of the k highest pixels with the mask, both (P,), expected over random orders of equal pixels."""
    threshold = np.partition(values, -k)[-k]
    above, tied = values > threshold, values == threshold
    sure, room = int((above & inside).sum()), k - int(above.sum())
    return _expected_iou(sure, int(tied.sum()), int((tied & inside).sum()), room, int(inside.sum()), k)


def _expected_iou(sure: int, tied: int, tied_inside: int, room: int, area: int, k: int) -> float:
    """Mean IoU where `sure` pixels hit and `room` more are drawn of the tied ones.

    The further hits are hypergeometric. Their weights follow from the ratio of each to the one before, in
    logarithms; with SciPy's, all metrics of an image of 128 px took 0.18 s in place of 0.006 s.
    """
    drawn = np.arange(max(0, room + tied_inside - tied), min(room, tied_inside) + 1)
    hits = sure + drawn
    if len(drawn) == 1:
        return float(hits[0] / (k + area - hits[0]))
    fewer = drawn[:-1].astype(np.float64)
    ratios = np.log(tied_inside - fewer) + np.log(room - fewer)
    ratios -= np.log(fewer + 1) + np.log(tied - tied_inside - room + fewer + 1)
    logarithms = np.concatenate([[0.0], np.cumsum(ratios)])
    weights = np.exp(logarithms - logarithms.max())
    return float((weights * hits / (k + area - hits)).sum() / weights.sum())


def _within(masks: Masks, tolerance_px: float) -> Masks:
    near = np.stack([distance_transform_edt(~mask) <= tolerance_px for mask in masks])
    return near.reshape(len(masks), -1)
