"""The gradient of a class's score by the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def input_gradient(request: Request) -> Tensor:
    """dy_t / dx (Simonyan et al. 2014, arXiv 1312.6034)."""
    # The highest score is the predicted class's, so that no pass is spent on finding the class.
    return request.gradient(request.own(request.logits(request.images)))


INPUT_GRADIENT = Method(
    attribute=input_gradient,
    help="how much each pixel changes the class's score",
    source="Simonyan et al. 2014, arXiv 1312.6034",
)
