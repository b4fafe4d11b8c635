"""The gradient of a class's lead over the others by the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def contrast(request: Request) -> Tensor:
    """d(y_t - max of the others) / dx.

    With two classes this is d(y1 - y0) / dx up to its sign, whatever the target: the gradient whose size
    gradmask penalises outside the mask (paper Eq. 2).
    """
    return request.gradient(request.margin(request.logits(request.images)))


CONTRAST = Method(
    attribute=contrast,
    help="how much each pixel changes the class's lead over the others, which gradmask penalises",
    source="paper Eq. 2",
    between_classes=True,
)
