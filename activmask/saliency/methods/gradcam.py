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
    import torch
    from torch.nn import functional as F

    from activmask.saliency.feature_map import as_map, output_of

    assert request.feature_map is not None
    assert request.model is not None
    # The module's own output is asked for, so the model runs as it is.
    with output_of(request.feature_map.module) as caught:
        logits = request.model(request.images, reconstruct=False).logits
    targets = logits.argmax(dim=1) if request.target is None else request.target
    (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), caught)
    weights = as_map(gradient).mean(dim=(2, 3), keepdim=True)
    coarse = (weights * as_map(caught[0].detach())).sum(dim=1, keepdim=True).relu()
    return F.interpolate(coarse, request.images.shape[-2:], mode="bilinear")


GRADCAM = Method(
    attribute=gradcam,
    help="which positions of a feature map speak for the class",
    source="Selvaraju et al. 2017, arXiv 1610.02391",
    feature_map=True,
    positive=True,
)
