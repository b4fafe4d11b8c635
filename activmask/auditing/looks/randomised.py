"""Whether a map depends on what was learned: it is compared with that of an untrained copy.

Adebayo et al. 2018 (arXiv 1810.03292): a map that looks the same when the weights are random shows edges
of the image, whatever it was asked.

Shapes: N images, H x W pixels.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from activmask.auditing.looks.moved_maps import moved
from activmask.evaluation.localisation import PerImage
from activmask.evaluation.map_scores import is_blank, summarised
from activmask.models.taps import Tapped

SURVIVES = 0.7
"""A mean rank correlation whose interval does not lie below this is that of a map that survives: half of
the variance of its ranks (0.7 squared) is then there without any learning."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Randomisation:
    """How alike the maps of a network and of its untrained copy are."""

    n: int
    """Images of which both maps have more than one value."""
    mean: float
    """Of Spearman's rank correlation of the two maps of an image."""
    low: float | None
    """Lower end of the 95 % interval of the mean, a bootstrap over subjects; None of one subject."""
    high: float | None
    chance: float
    """The same with the copy's maps moved to random places: random maps of the same grain."""
    bound: float = SURVIVES

    @property
    def depends(self) -> bool:
        """Whether the interval lies below the bound, so that the map depends on what was learned."""
        return (self.mean if self.high is None else self.high) < self.bound

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "depends": self.depends}


def untrained(network: nn.Module, *, seed: int) -> nn.Module | str:
    """A copy with weights as they are before training, in evaluation mode; or why there is none.

    Modules that know how draw theirs as they do when they are built (`reset_parameters`); weights that
    are then as they were are drawn from the normal distribution of their own mean and deviation.

    Args:
        network: on any device; left as it was.
        seed: of the draws.
    """
    if any(isinstance(module, Tapped) and not module.copyable for module in network.modules()):
        return "a copy of the network answers otherwise than it does, so it cannot be randomised"
    try:
        drawn = copy.deepcopy(network)
    except (RuntimeError, TypeError) as error:
        return f"the network cannot be copied ({type(error).__name__}), so it cannot be randomised"
    first = next(drawn.parameters(), None)
    devices = [first.device] if first is not None and first.is_cuda else []
    # Modules draw from the global generator; the fork gives its state back afterwards.
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for module in drawn.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        changed = False
        for weights, before in zip(drawn.parameters(), network.parameters(), strict=True):
            if weights.is_floating_point() and weights.numel() > 1 and torch.equal(weights, before):
                weights.normal_(float(before.mean()), float(before.std()))
            changed |= not torch.equal(weights, before)
    return drawn.eval() if changed else "the network has no weights that could be randomised"


def rank_correlations(ones: Floats, others: Floats) -> Floats:
    """Spearman's rank correlation of the two maps of each image, (N,); NaN where either is constant.

    Args:
        ones: (N, H, W).
        others: (N, H, W).
    """
    blank = is_blank(ones) | is_blank(others)
    pairs = zip(ones, others, blank, strict=True)
    return np.array(
        [np.nan if none else spearmanr(one, other, axis=None).statistic for one, other, none in pairs]
    )


def compared(
    ones: Floats, others: Floats, subjects: Sequence[str], *, seed: int, rng: np.random.Generator
) -> Randomisation | str:
    """How alike maps are, or why that cannot be told.

    Args:
        ones: (N, H, W), of the network.
        others: (N, H, W), of its untrained copy.
        subjects: (N,) whom each image shows.
        seed: of the bootstrap.
        rng: draws the places of random maps.
    """
    found = rank_correlations(ones, others)
    if np.isnan(found).all():
        return "of every image the map of the network or of its untrained copy is constant"
    chance = np.where(np.isnan(found), np.nan, rank_correlations(ones, moved(others, rng)))
    (row,) = summarised(
        {"rank correlation": PerImage(found, chance)}, subjects, np.zeros(len(ones), np.bool_), seed=seed
    ).rows
    return Randomisation(
        n=int((~np.isnan(found)).sum()), mean=row.mean, low=row.low, high=row.high, chance=row.chance
    )
