"""What one call of a method of attribution works on.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from activmask.models.inference import Classifier, images_per_pass
from activmask.saliency.feature_map import FeatureMap, as_map, output_of


@dataclass(frozen=True)
class Request:
    """What one call of a method works on."""

    model: nn.Module | None
    """In evaluation mode; None where only class scores can be had."""
    logits: Classifier
    """Its class scores (B, K) for images (B, C, H, W)."""
    images: Tensor
    """float (B, C, H, W) in [0, 1], on the model's device, requiring gradients."""
    target: Tensor | None
    """int64 (B,), the class of each image whose score is explained; None for its predicted class."""
    seed: int
    """Of the noise, where a method draws any."""
    feature_map: FeatureMap | None = None
    """That the method looks at, if it looks at one."""

    def own(self, logits: Tensor) -> Tensor:
        """The explained scores (B,) among logits (B, K)."""
        if self.target is None:
            return logits.max(dim=1).values
        return logits.gather(1, self.target[:, None])[:, 0]

    def margin(self, logits: Tensor) -> Tensor:
        """The explained scores minus the highest of the others, (B,), of logits (B, K)."""
        if self.target is None:
            first, second = logits.topk(2, dim=1).values.unbind(dim=1)
            return first - second
        others = logits.scatter(1, self.target[:, None], -torch.inf)
        return self.own(logits) - others.amax(dim=1)

    def gradient(self, scores: Tensor) -> Tensor:
        """D score / d image, (B, C, H, W), of scores (B,) of the images."""
        return torch.autograd.grad(scores.sum(), self.images)[0]

    def features_and_gradient(self) -> tuple[Tensor, Tensor]:
        """The feature map (B, C, h, w), and the gradient of the explained scores with respect to it."""
        assert self.feature_map is not None
        assert self.model is not None
        # The module's own output is asked for, so the model runs as it is.
        with output_of(self.feature_map.module) as caught:
            logits = self.model(self.images, reconstruct=False).logits
        (gradient,) = torch.autograd.grad(self.own(logits).sum(), caught)
        return as_map(caught[0].detach()), as_map(gradient)

    @property
    def targets(self) -> Tensor:
        """The explained classes, int64 (B,); finding the predicted ones takes a pass."""
        if self.target is not None:
            return self.target
        with torch.no_grad():
            return self.logits(self.images).argmax(dim=1)

    @property
    def images_per_pass(self) -> int:
        """How many images of this size fit in one pass."""
        return images_per_pass(self.images, self.images.device, self.model)
