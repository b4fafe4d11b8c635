"""Predictions and the scores that every epoch is judged by.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from dataclasses import asdict, dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.models.taps import device_of
from activmask.training.feed.stream import StreamedImages
from activmask.training.feed.workers import worker_losses_named

PIXELS_PER_PASS = 2**18
"""Bounds the memory of an evaluation pass: 334 images of 28 px, one of 512 px."""


@dataclass(frozen=True)
class Scores:
    """How well logits tell the classes apart."""

    auc: float
    """Area under the ROC curve in [0, 1]; one-vs-rest macro average beyond two classes."""
    accuracy: float
    """Share of images whose highest logit is their class, in [0, 1]."""
    loss: float
    """Mean cross-entropy in nats, 0 or more."""

    def to_json(self) -> dict[str, float]:
        """A plain dictionary."""
        return asdict(self)


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


def score(logits: Tensor, labels: Tensor) -> Scores:
    """AUC, accuracy and cross-entropy of finite logits (N, K) for classes (N,); all classes must occur."""
    probabilities = logits.double().softmax(dim=1)
    if logits.shape[1] == 2:
        contrast = (logits[:, 1].double() - logits[:, 0].double()).numpy()
        auc = roc_auc_score(labels.numpy(), contrast)
    else:
        auc = roc_auc_score(labels.numpy(), probabilities.numpy(), multi_class="ovr")
    correct = logits.argmax(dim=1) == labels
    return Scores(float(auc), float(correct.double().mean()), float(mean_cross_entropy(logits, labels)))


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (N, K) for classes (N,), float64 (), on their device."""
    return F.cross_entropy(logits.double(), labels)
