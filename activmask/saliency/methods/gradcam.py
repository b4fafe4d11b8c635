"""A feature map, its channels weighed by the gradient of a class's score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def gradcam(request: Request) -> Tensor:
    """The positive part of Grad-CAM of y_t at the last feature map, scaled up bilinearly.

    Selvaraju et al. 2017 (arXiv 1610.02391).
    """
    from torch.nn import functional as F

    features, gradient = request.features_and_gradient()
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * features).sum(dim=1, keepdim=True).relu()
    return F.interpolate(coarse, request.images.shape[-2:], mode="bilinear")


GRADCAM = Method(
    attribute=gradcam,
    help="which positions of a feature map speak for the class",
    source="Selvaraju et al. 2017, arXiv 1610.02391",
    feature_map=True,
    positive=True,
)
