"""What a planted shortcut adds to a network's scores, and whether its attribution lies there.

Shapes: N images, K classes.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activmask.data.planting.planting import ToldDose
from activmask.data.samples import Samples
from activmask.evaluation.bootstrap import Rows, percentile_interval, subject_resamples
from activmask.evaluation.evaluate import Localisation, localise
from activmask.evaluation.planted import Pairs
from activmask.evaluation.scores import check_finite, class_scores, macro_auc, why_no_auc
from activmask.training.replicas.predictions import predict

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One score of the same images, planted and as their twins."""

    score: str
    """`AUC`, `accuracy`, or the mean probability of the shortcut's class over some images."""
    label: int | None
    """The class of the images that carry the shortcut and are averaged over; None for all."""
    n: int
    """Images."""
    subjects: int
    planted: float
    """In [0, 1]."""
    twins: float
    """In [0, 1]."""
    change: float
    """Planted minus twins, in [-1, 1]: what the shortcut adds."""
    low: float | None
    """Lower end of its 95 % interval, percentiles of a paired bootstrap over subjects; None below two."""
    high: float | None
    """Its upper end."""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A network on images with a planted shortcut, against the same images without it."""

    shortcut: str
    of_class: str
    """Name of the class that it was planted in."""
    number: int
    """The network's number of it."""
    n: int
    """Images."""
    carried: int
    """Those among them that carry it."""
    changes: tuple[Change, ...]
    """AUC and accuracy of all images, then the probability of its class over those that carry it."""
    localisation: Localisation
    """Of the attribution, in the shortcut's own mask; of no image where it has none."""
    dose: ToldDose | None = None
    """By which share it lies on the training images of the data set that this is of."""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None."""
        return dataclasses.asdict(self)


def change_name(row: Change) -> str:
    """What a change is of, in a few words."""
    if not row.score.startswith("probability"):
        return row.score
    return f"{row.score}, {'all that carry it' if row.label is None else f'carriers of class {row.label}'}"


def removal(model: nn.Module, samples: Samples, pairs: Pairs, *, seed: int) -> Removal:
    """Score planted images and their twins, pair by pair, and measure how far the network looks there.

    Args:
        model: in evaluation mode.
        samples: N images as the network sees them.
        pairs: of these images.
        seed: of the bootstrap.

    Raises:
        CheckpointError: the network's scores or gradients are not finite.
    """
    planted = predict(model, samples.images)
    twins = of_twins(partial(predict, model), planted, pairs)
    for logits in (planted, twins):
        check_finite(logits)
    return Removal(
        shortcut=pairs.shortcut,
        of_class=pairs.name,
        number=pairs.number,
        n=len(samples),
        carried=int(pairs.carries.sum()),
        changes=changes(planted, twins, samples, pairs, seed=seed),
        localisation=localise(model, on_shortcut(samples, pairs), planted.shape[1]),
        dose=pairs.dose,
    )


def of_twins(predict: Callable[[Tensor], Tensor], planted: Tensor, pairs: Pairs) -> Tensor:
    """The logits of the twins, float (N, K): an image that carries nothing is its own twin.

    Args:
        predict: logits of images (B, C, H, W).
        planted: logits of the planted images, float (N, K).
        pairs: of these images.
    """
    twins = planted.clone()
    if pairs.carries.any():
        twins[pairs.carries] = predict(pairs.twins[pairs.carries])
    return twins


def on_shortcut(samples: Samples, pairs: Pairs) -> Samples:
    """The same images with the mask of the shortcut in place of their own, where they carry one."""
    return replace(samples, masks=pairs.masks, has_mask=pairs.has_mask & pairs.carries)


def changes(
    planted: Tensor, twins: Tensor, samples: Samples, pairs: Pairs, *, seed: int, probabilities: bool = True
) -> tuple[Change, ...]:
    """What the shortcut adds to each score.

    Args:
        planted: finite logits of the planted images, float (N, K).
        twins: of the same images without it.
        samples: the images.
        pairs: of these images.
        seed: of the bootstrap.
        probabilities: whether logits mean probabilities and decide; else AUC alone is compared.
    """
    labels, subjects = samples.labels.numpy(), np.asarray(samples.subjects, dtype=object)

    def compared(score: str, measure: _Measure, rows: Tensor, label: int | None = None) -> Change:
        own = np.flatnonzero(rows.numpy())
        return _compared(
            score, measure, planted[own], twins[own], labels[own], subjects[own], label=label, seed=seed
        )

    everyone = torch.ones_like(pairs.carries)
    found = [compared("accuracy", _accuracy, everyone)] if probabilities else []
    if why_no_auc(samples.labels, planted.shape[1]) is None:
        found.insert(0, compared("AUC", _auc, everyone))
    for label in (*range(planted.shape[1]), None) if probabilities else ():
        rows = pairs.carries & (everyone if label is None else samples.labels == label)
        if rows.any():
            found.append(compared(f"probability of {pairs.name}", _probability(pairs.number), rows, label))
    return tuple(found)


_Measure = Callable[[Tensor], Callable[[NDArray[np.int64], Rows], float]]
"""From logits (n, K) to a function of labels (n,) and the images that are drawn, int64 (m,)."""


def _auc(logits: Tensor) -> Callable[[NDArray[np.int64], Rows], float]:
    scores = class_scores(logits)
    return lambda labels, drawn: macro_auc(scores[drawn], labels[drawn])


def _accuracy(logits: Tensor) -> Callable[[NDArray[np.int64], Rows], float]:
    first = logits.argmax(dim=1).numpy()
    return lambda labels, drawn: float((first[drawn] == labels[drawn]).mean())


def _probability(number: int) -> _Measure:
    def measure(logits: Tensor) -> Callable[[NDArray[np.int64], Rows], float]:
        values = logits.double().softmax(dim=1)[:, number].numpy()
        return lambda _, drawn: float(values[drawn].mean())

    return measure


def _compared(
    score: str,
    measure: _Measure,
    planted: Tensor,
    twins: Tensor,
    labels: NDArray[np.int64],
    subjects: NDArray[np.object_],
    *,
    label: int | None,
    seed: int,
) -> Change:
    one, other, everyone = measure(planted), measure(twins), np.arange(len(labels))
    low, high = percentile_interval(
        lambda drawn: one(labels, drawn) - other(labels, drawn),
        subject_resamples(labels, subjects, seed=seed),
    )
    values = one(labels, everyone), other(labels, everyone)
    return Change(
        score=score,
        label=label,
        n=len(labels),
        subjects=len(set(subjects)),
        planted=values[0],
        twins=values[1],
        change=values[0] - values[1],
        low=low,
        high=high,
    )
