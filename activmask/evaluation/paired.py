"""Whether a method scores better than its baseline on the same seeds.

The n seeds are the observations; a score is a number in [0, 1], such as an AUC or an accuracy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from activmask.ground.errors import UsageError

EXACT_UP_TO = 16
"""So many seeds have few enough sign patterns (65 536) to go through them all."""

_DRAWS = 2**EXACT_UP_TO - 1
_TIE = 1e-12
"""Means of scores closer than this are the same but for rounding."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a method lies above its baseline, over paired seeds."""

    mean: float
    """Mean of method minus baseline, in [-1, 1]."""
    low: float | None
    """Lower end of the 95 % t interval of the mean, None where the seeds show no spread."""
    high: float | None
    """Its upper end."""
    p: float
    """Two-sided p of the sign-flip test, in (0, 1]."""
    n: int
    """Number of paired seeds."""


def smallest_p(n: int) -> float:
    """The smallest p the exact test can give with n seeds, 2 / 2**n, however large the difference.

    Above `EXACT_UP_TO` seeds patterns are drawn, and it is 1 / 2**16.
    """
    patterns: int = 2 ** max(n - 1, 0) if n <= EXACT_UP_TO else _DRAWS + 1
    return 1 / patterns


def paired_difference(method: Sequence[float], baseline: Sequence[float]) -> Difference:
    """Compare two lists of scores, one of each per seed.

    The p value is that of a sign-flip permutation test of the mean difference (Fisher 1935, The
    Design of Experiments; Pitman 1937, doi:10.2307/2984124): if the method changed nothing, each
    seed's difference could as well have had the other sign, so p is the share of all 2**n sign
    patterns whose mean lies at least as far from 0. It asks for no normal distribution and bears
    ties and bounded scores, but cannot fall below `smallest_p(n)`: with 5 seeds or fewer never
    below 0.05. Above `EXACT_UP_TO` seeds 65 535 patterns are drawn, always the same ones, and the
    observed one is counted with them (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).

    The interval is Student's, mean ± t(0.975, n - 1) SD / sqrt(n), clipped to [-1, 1]. It assumes
    roughly normal differences and can exclude 0 where the test does not reject, the more so the
    fewer the seeds. It is None below two seeds, and where all seeds differ by the same amount:
    there the formula has no width, which would claim a certainty that few seeds cannot give.

    Args:
        method: n scores in [0, 1].
        baseline: n scores in [0, 1], of the same seeds in the same order.

    Raises:
        UsageError: no scores, unequal numbers of them, or a score outside [0, 1].
    """
    if len(method) != len(baseline) or not len(method):
        raise UsageError(
            "a paired comparison needs one score of each per seed",
            found=f"{len(method)} of the method and {len(baseline)} of the baseline",
            advice="keep the seeds that both have",
        )
    differences = _scores(method, "method") - _scores(baseline, "baseline")
    low, high = _interval(differences)
    mean = float(differences.mean())
    return Difference(mean=mean, low=low, high=high, p=_sign_flip_p(differences), n=len(differences))


def _scores(values: Sequence[float], whose: str) -> NDArray[np.float64]:
    scores = np.asarray(values, dtype=np.float64)
    if wrong := [value for value in scores.tolist() if not 0 <= value <= 1]:
        raise UsageError(f"the {whose} has a score of {wrong[0]}; expected numbers from 0 to 1")
    return scores


def _interval(differences: NDArray[np.float64]) -> tuple[float | None, float | None]:
    n = len(differences)
    if n < 2 or np.ptp(differences) <= _TIE:
        return None, None
    half = float(stdtrit(n - 1, 0.975) * differences.std(ddof=1) / np.sqrt(n))
    mean = float(differences.mean())
    return max(-1.0, mean - half), min(1.0, mean + half)


def _sign_flip_p(differences: NDArray[np.float64]) -> float:
    means = np.abs(_signs(len(differences)) @ differences) / len(differences)
    return float(np.mean(means >= abs(differences.mean()) - _TIE))


def _signs(n: int) -> NDArray[np.float64]:
    """Sign patterns of n seeds (P, n), +1 or -1, the observed one (all +1) first."""
    if n <= EXACT_UP_TO:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        drawn = np.random.default_rng(0).integers(0, 2, size=(_DRAWS, n))
        bits = np.vstack([np.zeros((1, n), dtype=drawn.dtype), drawn])
    return (1 - 2 * bits).astype(np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for how many they are (Holm 1979, doi:10.2307/4615733).

    A threshold then bounds the chance of even one false alarm among them. The smallest of m is
    multiplied by m, the next by m - 1 and so on; none may fall below one that was smaller before,
    and none exceeds 1.

    Returns:
        The adjusted values in the order given, each at least as large as its own.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
