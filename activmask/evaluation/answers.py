"""What a network answered, small enough to be kept: curve, confusion, calibration, and some images.

Of images it holds names, scores and maps, never pixels.

Shapes: N images, n of which are picked, K classes, H x W pixels.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.data.samples import Samples
from activmask.evaluation.curves import BINS, Curve, bin_numbers, one_against_rest, roc
from activmask.evaluation.predictions_table import Predicted
from activmask.evaluation.resampled import Floats
from activmask.saliency.attribution import attribute

OF_EACH = 4
"""Images that are picked as the best, as the worst, and as those that changed most."""

_CORNERS = 200
"""Of a curve: more are not seen."""

_MOST_PX = 96
"""Of a map's side; larger ones are kept smaller."""

Why = Literal["best", "worst", "most changed"]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The images whose predicted probability lies in one tenth of [0, 1]."""

    n: int
    """At least one."""
    predicted: float
    """Mean predicted probability."""
    observed: float
    """How often it was true."""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One image, and what the network made of it."""

    why: Why
    file: str
    """By which its data set knows it; foreign text."""
    label: int
    given: int
    """The class of the highest score."""
    probability: float
    """Of its own class."""
    shuffled: float | None
    """The same with the pixels outside its mask shuffled; None where the audit left it out."""
    map: str
    """Where the network looked: a PNG file (grey, brightest at its maximum, at least 1 px) in base64."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of one network about one set of images."""

    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Images by their class, then by the class of the highest score."""
    roc: Curve | None
    """Of two classes, for class 1; None where a class is missing or there are more."""
    bins: tuple[Bin, ...]
    """Calibration: of two classes the probability of class 1, of more that of the class it gave."""
    picks: tuple[Pick, ...]
    """Without repeats; of few images fewer."""
    moved: float | None = None
    """Mean change of the probability of an image's own class, in [0, 1], when the pixels outside its mask are
    shuffled; of the images that the audit took, None without one."""


def answers(
    model: nn.Module, samples: Samples, class_names: Sequence[str], full: Tensor, changed: Sequence[Predicted]
) -> Answers:
    """What a network's answers come to.

    Args:
        model: in evaluation mode, on the device of its weights.
        samples: N images as it sees them.
        class_names: of its K classes.
        full: its logits (N, K).
        changed: what it said of shuffled images, see `audit_and_predictions`; may be nothing.
    """
    from sklearn.metrics import confusion_matrix

    logits, labels = full.double().numpy(), samples.labels.numpy()
    classes = logits.shape[1]
    matrix = confusion_matrix(labels, logits.argmax(axis=1), labels=range(classes))
    shuffled = _shuffled(changed, len(samples), classes)
    return Answers(
        class_names=tuple(class_names),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        roc=_roc(logits, labels),
        bins=_bins(logits, labels),
        picks=_picks(model, samples, logits, shuffled),
        moved=_moved(logits, shuffled, labels),
    )


def _moved(full: Floats, shuffled: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    rows = np.flatnonzero(~np.isnan(shuffled).any(axis=1))
    if not len(rows):
        return None
    own = labels[rows]
    before, after = (_probabilities(one[rows])[np.arange(len(rows)), own] for one in (full, shuffled))
    return _rounded(np.abs(before - after).mean())


def _roc(logits: Floats, labels: NDArray[np.int64]) -> Curve | None:
    if logits.shape[1] != 2 or len(np.unique(labels)) != 2:
        return None
    found = roc(one_against_rest(logits, 1), labels == 1)
    kept = np.unique(np.linspace(0, len(found.x) - 1, _CORNERS).round().astype(int))
    return Curve(x=tuple(_rounded(found.x[i]) for i in kept), y=tuple(_rounded(found.y[i]) for i in kept))


def _bins(logits: Floats, labels: NDArray[np.int64]) -> tuple[Bin, ...]:
    every = _probabilities(logits)
    given = np.ones(len(labels), dtype=np.int64) if logits.shape[1] == 2 else logits.argmax(axis=1)
    predicted, true = every[np.arange(len(labels)), given], labels == given
    numbers = bin_numbers(predicted)
    return tuple(
        Bin(
            n=int((numbers == k).sum()),
            predicted=_rounded(predicted[numbers == k].mean()),
            observed=_rounded(true[numbers == k].mean()),
        )
        for k in range(BINS)
        if (numbers == k).any()
    )


def _picks(
    model: nn.Module, samples: Samples, logits: Floats, shuffled: NDArray[np.float64]
) -> tuple[Pick, ...]:
    labels = samples.labels.numpy()
    rows = np.arange(len(labels))
    odds = np.stack([one_against_rest(logits, k) for k in range(logits.shape[1])], axis=1)[rows, labels]
    full, without = _probabilities(logits)[rows, labels], _probabilities(shuffled)[rows, labels]
    change = np.nan_to_num(np.abs(full - without), nan=-1.0)
    orders: dict[Why, NDArray[np.int64]] = {
        "best": np.argsort(-odds, kind="stable"),
        "worst": np.argsort(odds, kind="stable"),
        "most changed": np.argsort(-change, kind="stable")[: int((change > 0).sum())],
    }
    chosen: dict[int, Why] = {}
    for why, order in orders.items():
        # Of few images the second half is no longer the best, nor the worst.
        most = len(order) if why == "most changed" else (len(labels) + 1) // 2
        new = [i for i in order.tolist()[:most] if i not in chosen]
        chosen |= dict.fromkeys(new[:OF_EACH], why)
    maps = _maps(model, samples.images[list(chosen)])
    return tuple(
        Pick(
            why=why,
            file=samples.names[i],
            label=int(labels[i]),
            given=int(logits[i].argmax()),
            probability=_rounded(full[i]),
            shuffled=None if np.isnan(without[i]) else _rounded(without[i]),
            map=one,
        )
        for (i, why), one in zip(chosen.items(), maps, strict=True)
    )


def _shuffled(changed: Sequence[Predicted], n: int, classes: int) -> NDArray[np.float64]:
    """The logits (N, K) of the images with their background shuffled, NaN of those that took no part."""
    found = np.full((n, classes), np.nan)
    for one in changed:
        if one.condition == "background shuffled":
            found[one.rows.numpy()] = one.logits.double().numpy()
    return found


def _probabilities(logits: Floats) -> Floats:
    return np.asarray(torch.from_numpy(logits).softmax(dim=1).numpy())


def _maps(model: nn.Module, images: Tensor) -> list[str]:
    found = attribute(model, images, method="contrast")
    factor = max(images.shape[-2:]) / _MOST_PX
    if factor > 1:
        sides = [max(1, round(side / factor)) for side in images.shape[-2:]]
        found = F.interpolate(found[:, None], sides, mode="area")[:, 0]
    top = found.flatten(1).amax(dim=1).clamp(min=torch.finfo(found.dtype).tiny)
    grey = (found / top[:, None, None] * 255).round().to(torch.uint8).cpu().numpy()
    return [_png(one) for one in grey]


def _png(grey: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _rounded(value: float) -> float:
    """To what anybody reads of it: what is kept stays small."""
    return round(float(value), 6)
