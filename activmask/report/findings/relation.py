"""How a measure of attribution goes with the test score, given what is known of a network without the shift.

Shapes: N networks, R resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from activmask.evaluation.paired import holm
from activmask.report.findings.networks import Network

RESAMPLES = 2000

FEWEST_ARMS = 5
FEWEST_SEEDS = 3
"""Below these, resampled networks are too alike for an interval."""

_LEAST_DEFINED = 0.9
"""Of the resamples; with fewer that have a correlation no interval is given."""

_SAME = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A partial rank correlation of some networks."""

    data: str
    """The data set; empty for the mean of several."""
    rho: float | None
    """In [-1, 1]; None where measure or score do not vary, or are told by what is held fixed."""
    interval: tuple[float, float] | None
    """95 %; None without rho, and from fewer than `FEWEST_ARMS` ways to train or `FEWEST_SEEDS` seeds."""
    p: float | None
    """Two-sided, of rho 0, after Holm's correction for the data sets; not corrected of the mean."""
    networks: int
    arms: int
    seeds: int
    """The fewest of any data set."""
    fixed: bool
    """Whether what is held fixed varies, on any data set; where not, the correlation is a plain one."""


def partial_correlation(x: Floats, y: Floats, z: Floats, weights: Floats) -> Floats:
    """Correlation of x and y given z, r_xy.z (Fisher 1924), for each way to weigh the networks.

    r_xy.z = (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2)), with r Pearson's; of ranks it is the
    partial form of Spearman's. Where z does not vary it is r_xy.

    Args:
        x: (N,).
        y: (N,).
        z: (N,).
        weights: (R, N), at least 0.

    Returns:
        (R,) in [-1, 1], NaN where x or y does not vary or is a straight line of z.
    """
    columns = np.stack([x, y, z], axis=1)
    columns = columns - columns.mean(axis=0)
    total = weights.sum(axis=1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = weights @ columns / total
        crossed = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), 9)
        covariance = (weights @ crossed / total).reshape(-1, 3, 3) - means[:, :, None] * means[:, None, :]
        spread = np.sqrt(np.maximum(covariance[:, range(3), range(3)], 0))
        scale = np.ptp(columns, axis=0) + _SAME
        still = spread <= 1e-9 * scale
        r = covariance / (spread[:, :, None] * spread[:, None, :])
        xz = np.where(still[:, 2], 0.0, r[:, 0, 2])
        yz = np.where(still[:, 2], 0.0, r[:, 1, 2])
        left = (1 - xz**2) * (1 - yz**2)
        found = (r[:, 0, 1] - xz * yz) / np.sqrt(np.maximum(left, 0))
    undefined = still[:, 0] | still[:, 1] | (left <= 1e-9)
    return np.where(undefined, np.nan, np.clip(found, -1, 1))


def relations(
    networks: Sequence[Network],
    measure: Callable[[Network], float | None],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[Relation, tuple[Relation, ...]]:
    """The partial rank correlation of a measure and the test AUC given `known`, and its 95 % interval.

    Ranks are taken within a data set. Networks of one seed share their images and networks of one method what
    they were taught, so neither are independent: seeds within each data set, and ways to train over all data
    sets, are drawn with replacement, and each network counts as often as both were drawn (the pigeonhole
    bootstrap, Owen 2007, doi 10.1214/07-AOAS122, which errs to the wide side). Data sets are not drawn: the
    mean is of these.

    Args:
        networks: of one or several data sets.
        measure: of a network; those without are left out, and so are those without `known`.
        rng: draws.
        resamples: how many.

    Returns:
        The mean over the data sets, then each of them.
    """
    # Importing it takes a second, which a report without a study need not wait for.
    from scipy.stats import rankdata

    chosen = [one for one in networks if measure(one) is not None and one.known is not None]
    arms = list(dict.fromkeys(one.arm for one in chosen))
    of_arms = _drawn(len(arms), resamples, rng)
    found, samples = [], []
    for data in dict.fromkeys(one.data for one in chosen):
        own = [one for one in chosen if one.data == data]
        seeds = sorted({one.seed for one in own})
        of_seeds = _drawn(len(seeds), resamples, rng)
        weights = (
            of_arms[:, [arms.index(one.arm) for one in own]]
            * of_seeds[:, [seeds.index(one.seed) for one in own]]
        )
        x, y, z = (
            rankdata(values)
            for values in zip(*((measure(one), one.score, one.known) for one in own), strict=True)
        )
        again = partial_correlation(x, y, z, weights)
        rho = _number(partial_correlation(x, y, z, np.ones((1, len(own))))[0])
        here = len({one.arm for one in own})
        told = None
        if rho is not None and here >= FEWEST_ARMS and len(seeds) >= FEWEST_SEEDS:
            told = _told(rho, again, here)
        found.append(
            Relation(
                data=data,
                rho=rho,
                interval=None if told is None else told.interval,
                p=None if told is None else told.p,
                networks=len(own),
                arms=here,
                seeds=len(seeds),
                fixed=bool(np.ptp(z) > 0),
            )
        )
        samples.append(again)
    return _mean(found, samples), _corrected(found)


def _drawn(count: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each of some is drawn, with replacement (resamples, count)."""
    if not count:
        return np.zeros((resamples, 0))
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def _mean(found: Sequence[Relation], samples: Sequence[Floats]) -> Relation:
    defined = [(one, drawn) for one, drawn in zip(found, samples, strict=True) if one.rho is not None]
    rho = float(np.mean([one.rho for one, _ in defined])) if defined else None
    arms = max((one.arms for one, _ in defined), default=0)
    told = None
    if rho is not None and all(one.interval is not None for one, _ in defined):
        told = _told(rho, np.mean([drawn for _, drawn in defined], axis=0), arms)
    return Relation(
        data="",
        rho=rho,
        interval=None if told is None else told.interval,
        p=None if told is None else told.p,
        networks=sum(one.networks for one, _ in defined),
        arms=arms,
        seeds=min((one.seeds for one, _ in defined), default=0),
        fixed=any(one.fixed for one, _ in defined),
    )


def _corrected(found: Sequence[Relation]) -> tuple[Relation, ...]:
    tested = [k for k, one in enumerate(found) if one.p is not None]
    adjusted = dict(zip(tested, holm([one.p for one in found if one.p is not None]), strict=True))
    return tuple(replace(one, p=adjusted.get(k)) for k, one in enumerate(found))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True)
class _Told:
    """What resamples tell of a correlation."""

    interval: tuple[float, float]
    p: float


def _told(rho: float, samples: Floats, arms: int) -> _Told | None:
    """Interval and p from the resamples' spread in Fisher's z, by Student's t of `arms` - 1.

    None where too few resamples have a correlation, or all have the same.
    """
    known = samples[~np.isnan(samples)]
    if len(known) < _LEAST_DEFINED * len(samples):
        return None
    spread = float(np.std(_fisher(known), ddof=1))
    if spread <= _SAME:
        return None
    centre, half = float(_fisher(np.array(rho))), float(stdtrit(arms - 1, 0.975)) * spread
    p = 2 * float(stdtr(arms - 1, -abs(centre) / spread))
    return _Told((float(np.tanh(centre - half)), float(np.tanh(centre + half))), p)


def _fisher(rho: Floats) -> Floats:
    return np.arctanh(np.clip(rho, -1 + 1e-6, 1 - 1e-6))
