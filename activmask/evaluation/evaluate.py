"""Everything that is measured of one checkpoint on one set of images.

Shapes: N images, C channels, H x W pixels, K classes.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.data.samples import Samples
from activmask.evaluation.audit import Audit, audit_and_predictions
from activmask.evaluation.localisation import METRICS, PerImage
from activmask.evaluation.participants import partial_masks
from activmask.evaluation.predictions_table import Predicted, Predictions, predictions_of
from activmask.evaluation.scores import Interval, ScoreReport, score_report
from activmask.ground.errors import CheckpointError, DataError
from activmask.runs.checkpoint import Checkpoint, refuse_several_labels
from activmask.saliency.attribution import attribute
from activmask.training.replicas.predictions import predict


@dataclass(frozen=True, kw_only=True)
class SiteScores:
    """The scores of one site's images."""

    site: str
    n: int
    auc: float | None
    """None when a class is missing at this site."""
    accuracy: float
    interval: Interval | None = None
    """Around `auc`, as that of all images; None without an AUC, or when a class is of one subject only."""


@dataclass(frozen=True, kw_only=True)
class LocalisationRow:
    """One localisation metric over a set of images."""

    metric: str
    mean: float
    sd: float | None
    """Over images (n - 1); None for one image."""
    chance: float
    """Mean over images of what a random map scores."""


@dataclass(frozen=True, kw_only=True)
class Localisation:
    """How much of the attribution lies in the masks."""

    attribution: str
    """Which map was measured."""
    n: int
    """Images with a mask that covers some, but not all, of the image."""
    blank: int
    """Those among them whose attribution is 0 everywhere; they count as chance."""
    rows: tuple[LocalisationRow, ...]
    """One per metric; empty when n is 0."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One checkpoint on one set of images."""

    seed: int
    """Of the audit's shuffles and the bootstrap."""
    scores: ScoreReport
    sites: tuple[SiteScores, ...]
    """One per site, by name; empty where the data set knows no sites."""
    audit: Audit
    localisation: Localisation

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        return dataclasses.asdict(self)


def evaluate(
    checkpoint: Checkpoint, samples: Samples, *, seed: int, device: torch.device | str = "cpu"
) -> Evaluation:
    """Score a checkpoint, audit it for shortcuts, and measure where it looks.

    Audit and localisation take the masks as they come. `load_splits` gives them dilated as in
    training, so that both judge the region that training was told of. The attribution is the
    absolute input gradient of the contrast, averaged over channels.

    Args:
        checkpoint: the network and its run.
        samples: images as the network sees them, with their masks.
        seed: of the audit's shuffles, and of the bootstrap.
        device: where the network computes; it is left there.

    Raises:
        DataError: images or labels that the network was not made for.
        CheckpointError: the network's scores or gradients are not finite.
    """
    return evaluate_and_predict(checkpoint, samples, seed=seed, device=device)[0]


@torch.inference_mode(mode=False)
def evaluate_and_predict(
    checkpoint: Checkpoint, samples: Samples, *, seed: int, device: torch.device | str = "cpu"
) -> tuple[Evaluation, Predictions]:
    """`evaluate`, and what the network said of the images as they are and as the audit shuffled them."""
    check_fit(checkpoint, samples)
    model = checkpoint.model.to(device).eval()
    logits = predict(model, samples.images)
    found, shuffled = audit_and_predictions(model, samples, logits, seed=seed)
    names = checkpoint.class_names or tuple(map(str, range(logits.shape[1])))
    full = Predicted(condition="full", draw=1, rows=torch.arange(len(samples)), logits=logits)
    evaluation = Evaluation(
        seed=seed,
        scores=score_report(logits, samples.labels, samples.subjects, seed=seed),
        sites=_by_site(logits, samples, seed),
        audit=found,
        localisation=localise(model, samples, logits.shape[1]),
    )
    return evaluation, predictions_of(samples, names, (full, *shuffled))


def check_fit(checkpoint: Checkpoint, samples: Samples) -> None:
    """Refuse images the network was not made for (raises DataError), and one of several labels."""
    refuse_several_labels(checkpoint.path, checkpoint)
    if len(samples) == 0:
        raise DataError("there are no images to evaluate in this split; choose another split or data set")
    size, channels = checkpoint.image_size, checkpoint.channels
    expected, found = (channels, size, size), tuple(samples.images.shape[1:])
    if found != expected:
        raise DataError(
            f"image {samples.names[0]} is {_shape(found)} but the checkpoint's network takes "
            f"{_shape(expected)}; evaluate it on images like those it was trained on"
        )
    for name, label in zip(samples.names, samples.labels.tolist(), strict=True):
        if not 0 <= label < checkpoint.classes:
            raise DataError(
                f"image {name} has label {label} but the checkpoint's network knows the classes 0 to "
                f"{checkpoint.classes - 1}; evaluate it on data with the same classes"
            )


def _shape(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width} x {height} px with {channels} channel{'s' if channels != 1 else ''}"


def _by_site(logits: Tensor, samples: Samples, seed: int) -> tuple[SiteScores, ...]:
    sites = np.array(samples.sites)
    return tuple(
        _site_scores(str(site), logits, samples, np.flatnonzero(sites == site), seed)
        for site in np.unique(sites)
        if site
    )


def _site_scores(
    site: str, logits: Tensor, samples: Samples, rows: NDArray[np.int64], seed: int
) -> SiteScores:
    subjects = [samples.subjects[row] for row in rows.tolist()]
    found = score_report(logits[rows], samples.labels[rows], subjects, seed=seed)
    return SiteScores(site=site, n=found.n, auc=found.auc, accuracy=found.accuracy, interval=found.interval)


def localise(model: torch.nn.Module, samples: Samples, classes: int) -> Localisation:
    """How much of a network's attribution lies in masks, of the images whose mask covers a part of them.

    Raises:
        CheckpointError: the network's gradients are not finite.
    """
    chosen = torch.nonzero(samples.has_mask & partial_masks(samples.masks)).flatten()
    attribution = _attribution(model, samples.images[chosen])
    if not torch.isfinite(attribution).all():
        raise CheckpointError(
            "the network's input gradients are not finite numbers, so where it looks cannot be measured; the "
            "checkpoint's weights are unusable, train again or take an earlier one"
        )
    maps, inside = attribution.double().numpy(), samples.masks[chosen, 0].numpy()
    rows = [_row(name, metric(maps, inside)) for name, metric in METRICS.items()] if len(chosen) else []
    return Localisation(
        attribution=_attribution_name(classes),
        n=len(chosen),
        blank=int((maps == 0).all(axis=(1, 2)).sum()),
        rows=tuple(rows),
    )


def _attribution(model: torch.nn.Module, images: Tensor) -> Tensor:
    """Float (N, H, W), at least 0; paper Eq. 2 penalises this gradient outside the mask."""
    return attribute(model, images, method="contrast") if len(images) else images[:, 0]


def _attribution_name(classes: int) -> str:
    """What the map is, for a network of so many classes."""
    contrast = "|y1 - y0|" if classes == 2 else "highest logit minus the next"
    return f"absolute input gradient of the contrast {contrast}, mean over channels"


def _row(name: str, result: PerImage) -> LocalisationRow:
    values = result.values
    return LocalisationRow(
        metric=name,
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        chance=float(result.chance.mean()),
    )
