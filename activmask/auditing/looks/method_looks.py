"""What one method says of where a classifier looks, and the tests of whether that can be believed.

Shapes: N images, n that are drawn of them, C channels, H x W pixels, K classes or labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activmask.auditing.looks.curves import Curve, Score, both_curves, curve_passes
from activmask.auditing.looks.explained import explainable, maps_of, why_no_map
from activmask.auditing.looks.randomised import Randomisation, compared, untrained
from activmask.auditing.looks.trust import judged, localisation_caution
from activmask.data.samples import Samples
from activmask.evaluation.map_scores import ALL_METRICS, MapScores, is_blank, summarised
from activmask.evaluation.participants import partial_masks
from activmask.ground.errors import UsageError
from activmask.models.inference import Classifier
from activmask.predictors.predictor import Predictor
from activmask.saliency.maps import Sign
from activmask.saliency.methods import METHODS

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MethodLooks:
    """What one method says of where a classifier looks, and whether it can be believed."""

    method: str
    sign: Sign
    """Which values of its maps count."""
    name: str
    """Both in words, such as `contrast, absolute values`."""
    n: int = 0
    """Images that were explained."""
    constant: int = 0
    """Those among them whose map has one value only."""
    localisation: MapScores | None = None
    """Every metric with its interval and chance; None where no image has a mask with an outside."""
    randomisation: Randomisation | None = None
    """How alike the maps are to those of an untrained copy; None where that cannot be asked."""
    insertion: Curve | None = None
    deletion: Curve | None = None
    trusted: bool = False
    """Whether a conclusion may rest on these maps."""
    sentences: tuple[str, ...] = ()
    """Why, or why not."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        parts = {
            name: None if (part := getattr(self, name)) is None else part.to_json()
            for name in ("localisation", "randomisation", "insertion", "deletion")
        }
        plain = ("method", "sign", "name", "n", "constant", "trusted")
        return {**{name: getattr(self, name) for name in plain}, **parts, "sentences": list(self.sentences)}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What all methods are asked of."""

    seen: Samples
    """The n images."""
    partial: NDArray[np.bool_]
    """(n,) which have a mask with an inside and an outside."""
    network: nn.Module | None
    scores: Classifier
    targets: Tensor
    """int64 (n,), the outputs that are explained."""
    score: Score
    """What insertion and deletion measure."""
    copy: nn.Module | str
    """The untrained copy, or why there is none."""
    steps: int
    seed: int


def named(method: str, sign: Sign) -> str:
    """A method and which sign of it counts, in words."""
    positive = METHODS[method].positive or sign == "positive"
    return f"{method}, {'positive evidence' if positive else 'absolute values'}"


def asked_of(seen: Samples, predictor: Predictor, target: int | None, *, steps: int, seed: int) -> Asked:
    """Everything that methods are asked of.

    Args:
        seen: the n images.
        predictor: the classifier.
        target: the output that is explained; None explains each image's predicted class.
        steps: of insertion and deletion.
        seed: of all draws.
    """
    logits = predictor.predict(seen.images)
    network, scores = explainable(predictor, logits)
    targets = logits.argmax(dim=1) if target is None else torch.full((len(seen),), target)
    without = "only predictions can be had of this classifier"
    return Asked(
        seen=seen,
        partial=(partial_masks(seen.masks) & seen.has_mask).numpy(),
        network=network,
        scores=scores,
        targets=targets,
        score=explained_score(predictor, targets),
        copy=without if network is None else untrained(network, seed=seed),
        steps=steps,
        seed=seed,
    )


def explained_score(predictor: Predictor, targets: Tensor) -> Score:
    """What of images (N, C, H, W) is measured: the probability of each one's explained output.

    Where logits mean no probability, it is the output's lead over the highest other, or the label's score.

    Args:
        predictor: the classifier.
        targets: int64 (N,).
    """

    def score(images: Tensor) -> Floats:
        logits = predictor.predict(images).double()
        if not predictor.probabilities:
            others = logits.scatter(1, targets[:, None], -torch.inf).amax(dim=1)
            own = logits.gather(1, targets[:, None])[:, 0]
            return np.asarray((own if predictor.multi_label else own - others).numpy())
        shares = logits.sigmoid() if predictor.multi_label else logits.softmax(dim=1)
        return np.asarray(shares.gather(1, targets[:, None])[:, 0].numpy())

    return score


def looks_of(
    method: str,
    sign: Sign,
    predictor: Predictor,
    asked: Asked,
    told: Callable[[str], None] | None = None,
) -> MethodLooks:
    """What one method says, and whether it can be believed.

    Args:
        method: a name in `METHODS`.
        sign: which values of maps count.
        predictor: the classifier.
        asked: of what.
        told: is told what is done now.
    """
    say = told or (lambda _: None)
    counted: Sign = "positive" if METHODS[method].positive else sign
    name, reason = named(method, sign), why_no_map(method, predictor)
    if reason:
        return MethodLooks(
            method=method, sign=counted, name=name, sentences=(f"No map by {name}: {reason}.",)
        )
    say(f"maps by {name}")
    try:
        maps = _maps(asked, asked.network, method, counted)
    except UsageError as error:
        return MethodLooks(method=method, sign=counted, name=name, sentences=(f"No map by {name}: {error}.",))
    for_copies, for_curves = np.random.default_rng(asked.seed).spawn(2)
    blank, subjects = is_blank(maps), asked.seen.subjects
    if blank.all():
        curves = None
        randomisation: Randomisation | str = "every map is constant"
    else:
        randomisation = _against_untrained(maps, asked, method, counted, for_copies)
        curves = both_curves(
            _counted(asked.score, curve_passes(asked.steps), say, f"{name}, insertion and deletion"),
            asked.seen.images,
            maps,
            subjects,
            steps=asked.steps,
            seed=asked.seed,
            rng=for_curves,
            score_range=1.0 if predictor.probabilities else None,
        )
    trusted, sentences = judged(
        name, constant=int(blank.sum()), n=len(maps), randomisation=randomisation, curves=curves
    )
    localisation = _localised(maps, asked) if asked.partial.any() else None
    caution = localisation_caution(name, trusted, localisation)
    return MethodLooks(
        method=method,
        sign=counted,
        name=name,
        n=len(maps),
        constant=int(blank.sum()),
        localisation=localisation,
        randomisation=None if isinstance(randomisation, str) else randomisation,
        insertion=None if curves is None else curves[0],
        deletion=None if curves is None else curves[1],
        trusted=trusted,
        sentences=(*sentences, *([caution] if caution else [])),
    )


def _counted(score: Score, total: int, say: Callable[[str], None], what: str) -> Score:
    """The same score, which tells how often it was asked."""
    numbers = count(1)

    def counted(images: Tensor) -> Floats:
        found = score(images)
        say(f"{what}: {next(numbers)} of {total} passes")
        return found

    return counted


def _maps(asked: Asked, network: nn.Module | None, method: str, sign: Sign) -> Floats:
    maps = maps_of(
        network,
        asked.scores,
        asked.seen.images,
        method=method,
        targets=asked.targets,
        sign=sign,
        seed=asked.seed,
    )
    return np.asarray(maps.double().numpy())


def _against_untrained(
    maps: Floats, asked: Asked, method: str, sign: Sign, rng: np.random.Generator
) -> Randomisation | str:
    if isinstance(asked.copy, str):
        return asked.copy
    others = _maps(asked, asked.copy, method, sign)
    return compared(maps, others, asked.seen.subjects, seed=asked.seed, rng=rng)


def _localised(maps: Floats, asked: Asked) -> MapScores:
    masks = asked.seen.masks[:, 0].numpy() & asked.partial[:, None, None]
    found = {name: metric(maps, masks) for name, metric in ALL_METRICS.items()}
    return summarised(found, asked.seen.subjects, is_blank(maps), seed=asked.seed)
