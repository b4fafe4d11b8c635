"""Predictions and the scores that every epoch is judged by.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.data.multi_label import is_multi_label
from activmask.models.taps import device_of
from activmask.objectives.multi_label import label_cross_entropy
from activmask.training.feed.stream import StreamedImages
from activmask.training.feed.workers import worker_losses_named
from activmask.training.replicas.roc_area import roc_area

PIXELS_PER_PASS = 2**18
"""Bounds the memory of an evaluation pass: 334 images of 28 px, one of 512 px."""


LABEL_AUC = "label_auc"


@dataclass(frozen=True)
class Scores:
    """How well logits tell the classes apart."""

    auc: float
    """Area under the ROC curve in [0, 1]; one-vs-rest macro average beyond two classes."""
    accuracy: float
    """Share of images whose highest logit is their class, in [0, 1]."""
    loss: float
    """Mean cross-entropy in nats, 0 or more."""
    label_auc: tuple[float, ...] = ()
    """Of each of several labels, in their order; the others are then means over labels."""
    worst_group: float | None = None
    """The least accuracy of a group of images, in [0, 1]; None where that selects nothing."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, without what these images do not have."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


def predict(model: nn.Module, images: Tensor | StreamedImages) -> Tensor:
    """Logits (N, K) on the CPU for images (N, C, H, W), without gradients, in evaluation mode.

    The model's mode is restored.
    """
    batch_size = evaluation_batch(images)
    device = device_of(model)
    training = model.training
    model.eval()
    with torch.no_grad(), worker_losses_named():
        batches = [
            model(batch.to(device), reconstruct=False).logits.float().cpu()
            for batch in images.split(batch_size)
        ]
    model.train(training)
    return torch.cat(batches)


def evaluation_batch(images: Tensor | StreamedImages) -> int:
    """How many images (N, C, H, W) a pass without gradients takes at once."""
    return max(1, PIXELS_PER_PASS // (images.shape[-2] * images.shape[-1]))


def score(logits: Tensor, labels: Tensor, members: Tensor | None = None) -> Scores:
    """AUC, accuracy and cross-entropy of finite logits (N, K) for classes (N,); all classes must occur.

    For labels (N, K) that do not exclude each other, `label_scores`. Given the group of each image, int64
    (N,), of which none is empty, the accuracy of the worst one too.
    """
    if members is not None:
        return replace(score(logits, labels), worst_group=worst_accuracy(logits, labels, members))
    if is_multi_label(labels):
        return label_scores(logits, labels)
    correct = logits.argmax(dim=1) == labels
    loss = float(mean_cross_entropy(logits, labels))
    return Scores(auc(logits, labels), float(correct.double().mean()), loss)


def auc(logits: Tensor, labels: Tensor) -> float:
    """ROC AUC of y1 - y0 for two classes, else the macro mean of the one-vs-rest AUCs, in [0, 1].

    Args:
        logits: (N, K), finite.
        labels: int64 (N,), every class present.
    """
    wide, classes = logits.double(), labels.numpy()
    if logits.shape[1] == 2:
        return roc_area((wide[:, 1] - wide[:, 0]).numpy(), classes == 1)
    leads = lead_over_rest(wide).numpy()
    return float(np.mean([roc_area(leads[:, k], classes == k) for k in range(leads.shape[1])]))


def lead_over_rest(logits: Tensor) -> Tensor:
    """By what a one-vs-rest AUC ranks: z_k less the logarithm of the sum of exp z_j over all other classes j.

    These are the log-odds of a softmax, which ranks alike as long as it does not round to 1: from a lead of
    37 on all that a network is sure of, right or wrong, would be ties.

    Args:
        logits: float64 (..., K), finite, K at least 2.

    Returns:
        (..., K), finite.
    """
    # As a softmax, which takes no notice of what all of an image's logits have in common.
    logits = logits - logits.amax(dim=-1, keepdim=True)
    whole = logits.logsumexp(dim=-1, keepdim=True)
    rest = whole + torch.log(-torch.expm1(logits - whole))
    # Of the highest that difference is rounded to 0.
    top = logits.argmax(dim=-1, keepdim=True)
    others = logits.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return logits - rest.scatter(-1, top, others)


def worst_accuracy(logits: Tensor, labels: Tensor, members: Tensor) -> float:
    """The least accuracy of a group, from logits (N, K), classes (N,) and int64 groups (N,), none empty."""
    correct = (logits.argmax(dim=1) == labels).double()
    return float((members.bincount(weights=correct) / members.bincount()).min())


def label_scores(logits: Tensor, labels: Tensor) -> Scores:
    """Scores of finite logits (N, L) for labels (N, L) of 0 and 1, -1 where unknown; both must occur of each.

    AUC and accuracy (at a probability of 0.5) are means over labels, each of the images of which it is
    known; the loss is the mean over all that is known.
    """
    areas, shares = [], []
    for own, truth in zip(logits.double().T, labels.T, strict=True):
        known = truth >= 0
        areas.append(roc_area(own[known].numpy(), truth[known].numpy() == 1))
        shares.append(float(((own[known] > 0) == (truth[known] == 1)).double().mean()))
    loss = float(label_cross_entropy(logits.double(), labels))
    return Scores(sum(areas) / len(areas), sum(shares) / len(shares), loss, tuple(areas))


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (N, K) for classes (N,), float64 (), on their device."""
    return F.cross_entropy(logits.double(), labels)
