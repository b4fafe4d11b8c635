"""What one call of a method of attribution works on.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from activmask.models.inference import Classifier, images_per_pass
from activmask.saliency.feature_map import FeatureMap


@dataclass(frozen=True)
class Request:
    """What one call of a method works on."""

    model: nn.Module
    """In evaluation mode."""
    logits: Classifier
    """Its class scores (B, K) for images (B, C, H, W)."""
    images: Tensor
    """float (B, C, H, W) in [0, 1], on the model's device, requiring gradients."""
    target: int | None
    """The class whose score is explained; None for each image's predicted class."""
    seed: int
    """Of the noise, where a method draws any."""
    feature_map: FeatureMap | None = None
    """That the method looks at, if it looks at one."""

    def own(self, logits: Tensor) -> Tensor:
        """The explained scores (B,) among logits (B, K)."""
        return logits.max(dim=1).values if self.target is None else logits[:, self.target]

    def margin(self, logits: Tensor) -> Tensor:
        """The explained scores minus the highest of the others, (B,), of logits (B, K)."""
        if self.target is None:
            first, second = logits.topk(2, dim=1).values.unbind(dim=1)
            return first - second
        others = torch.cat([logits[:, : self.target], logits[:, self.target + 1 :]], dim=1)
        return self.own(logits) - others.amax(dim=1)

    def gradient(self, scores: Tensor) -> Tensor:
        """|d score / d image|, averaged over channels, (B, H, W), of scores (B,) of the images."""
        (gradient,) = torch.autograd.grad(scores.sum(), self.images)
        return gradient.abs().mean(dim=1)

    @property
    def targets(self) -> Tensor:
        """The explained classes, int64 (B,); finding the predicted ones takes a pass."""
        if self.target is not None:
            return torch.full((len(self.images),), self.target, device=self.images.device)
        with torch.no_grad():
            return self.logits(self.images).argmax(dim=1)

    @property
    def images_per_pass(self) -> int:
        """How many images of this size fit in one pass."""
        return images_per_pass(self.images, self.images.device)
