"""A mixed model of the test score over methods and data sets, by statsmodels."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.special import stdtrit

from activmask.report.findings.networks import Network

STEP = 0.1
"""Of the attribution beyond chance, for which the slope is told."""

_FEWEST_ARMS = 5
_AT_BOUND = 1e-4
"""A variance below this share of that of the rest is at its bound."""


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """How much the test AUC changes with the attribution beyond chance, all else alike."""

    slope: float
    """Change of the test AUC for `STEP` more of the attribution beyond chance."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    networks: int
    arms: int
    at_bound: tuple[str, ...]
    """What was found not to vary (singular): the model is that without it."""
    known: bool
    """Whether the AUC on images as those of training is held fixed; not where it never varies."""


def mixed_model(networks: Sequence[Network]) -> Mixed | str:
    """Fit test AUC = data set + slope x attribution beyond chance + slope x known AUC + way to train + seed.

    Data sets are fixed effects, as a few of them tell no variance; ways to train, and seeds within data
    sets, are crossed random intercepts (Baayen et al. 2008, doi 10.1016/j.jml.2007.12.005), by restricted
    maximum likelihood. The interval is Wald's with Student's t of as many degrees of freedom as there are
    ways to train less what is fitted to them, 2.

    Returns:
        The fit, or in a sentence why there is none: statsmodels is not installed, too few networks, no
        convergence, or a slope that the networks do not tell.
    """
    chosen = [one for one in networks if one.known is not None]
    if why := _why_none(chosen):
        return f"no mixed model: {why}"
    fixed, known = _fixed(chosen)
    result, at_bound = _best_fit(chosen, fixed)
    if result is None:
        return "no mixed model: its fit did not converge"
    slope, error = float(result.params[1]), float(result.bse[1])
    if not (np.isfinite(slope) and np.isfinite(error) and error > 0):
        return "no mixed model: the networks do not tell its slope (its standard error is not a number)"
    arms = len({one.arm for one in chosen})
    half = float(stdtrit(arms - 2, 0.975)) * error
    return Mixed(
        slope=STEP * slope,
        low=STEP * (slope - half),
        high=STEP * (slope + half),
        networks=len(chosen),
        arms=arms,
        at_bound=at_bound,
        known=known,
    )


def _why_none(networks: Sequence[Network]) -> str:
    """Why there can be no model of these; empty where there can."""
    arms = len({one.arm for one in networks})
    if arms < _FEWEST_ARMS:
        return f"it takes {_FEWEST_ARMS} ways to train, found {arms}"
    if np.ptp([one.score for one in networks]) == 0:
        return "the test AUC does not vary"
    fixed, _ = _fixed(networks)
    if np.linalg.matrix_rank(fixed) < fixed.shape[1] or len(networks) <= fixed.shape[1] + 2:
        return "attribution, data set and score on images as those of training cannot be told apart"
    return "" if find_spec("statsmodels") else "it takes statsmodels; pip install 'activmask[study]'"


def _best_fit(networks: Sequence[Network], fixed: np.ndarray) -> tuple[Any, tuple[str, ...]]:
    """The fit without what does not vary, and the names of that; None where it does not converge."""
    crossed = {
        "ways to train": _indicators([one.arm for one in networks]),
        "seeds": _indicators([f"{one.data} {one.seed}" for one in networks]),
    }
    score = np.array([one.score for one in networks])
    at_bound: list[str] = []
    while (result := _fitted(score, fixed, crossed)) is not None:
        still = [name for name, share in zip(crossed, _shares(result), strict=False) if share <= _AT_BOUND]
        if not still:
            break
        # At its bound a variance leaves the others no curvature to take errors from.
        at_bound += still
        crossed = {name: columns for name, columns in crossed.items() if name not in still}
    return result, tuple(at_bound)


def _fixed(networks: Sequence[Network]) -> tuple[np.ndarray, bool]:
    """The columns of what is fixed (N, K), the slope second, and whether the known AUC is one of them."""
    data = list(dict.fromkeys(one.data for one in networks))
    of = np.array([data.index(one.data) for one in networks])
    known = np.array([one.known for one in networks], dtype=np.float64)
    inside = np.array([one.inside for one in networks])
    columns = [np.ones(len(networks)), inside, *((of == k).astype(np.float64) for k in range(1, len(data)))]
    varies = any(np.ptp(known[of == k]) > 0 for k in range(len(data)))
    if varies:
        columns.append(known - np.array([known[of == k].mean() for k in of]))
    return np.stack(columns, axis=1), varies


def _fitted(score: np.ndarray, fixed: np.ndarray, crossed: Mapping[str, np.ndarray]) -> Any:
    """The fit with some random intercepts, by least squares without any; None where it does not converge."""
    from statsmodels.regression.linear_model import OLS
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    if not crossed:
        return OLS(score, fixed).fit()
    names = [[[f"{name} {k}" for k in range(columns.shape[1])]] for name, columns in crossed.items()]
    variances = VCSpec(list(crossed), names, [[columns] for columns in crossed.values()])
    model = MixedLM(score, fixed, groups=np.zeros(len(score)), exog_vc=variances)
    # Its warnings are of what is told here in its own words: no convergence, or a variance at its bound,
    # where methods that follow gradients often stop early; Powell's (1964) needs none.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = model.fit(reml=True, method=["powell"])
        except np.linalg.LinAlgError:
            return None
    return result if result.converged else None


def _shares(result: Any) -> list[float]:
    """Each random intercept's variance as a share of the rest's; none of least squares."""
    return [float(one / result.scale) for one in getattr(result, "vcomp", ())]


def _indicators(names: Sequence[str]) -> np.ndarray:
    known = list(dict.fromkeys(names))
    return np.array([[float(name == one) for one in known] for name in names])
