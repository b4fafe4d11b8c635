"""The change of a class's score when parts of the image are covered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def occlusion(request: Request, *, windows: int) -> Tensor:
    """The fall of y_t when a black square covers a pixel, in steps of half of its side.

    Zeiler & Fergus 2014 (arXiv 1311.2901), averaged over the squares that cover the pixel.

    Args:
        request: what is asked.
        windows: how many squares fit in the side of the image.
    """
    from captum.attr import Occlusion

    channels, height, width = request.images.shape[1:]
    window = max(1, min(height, width) // windows)
    stride = max(1, window // 2)
    maps: Tensor = Occlusion(request.logits).attribute(
        request.images,
        sliding_window_shapes=(channels, window, window),
        strides=(channels, stride, stride),
        target=request.targets,
        perturbations_per_eval=max(1, request.images_per_pass // len(request.images)),
    )
    return maps


OCCLUSION = Method(
    attribute=occlusion,
    help="how much covering each pixel with a black square changes the class's score",
    source="Zeiler & Fergus 2014, arXiv 1311.2901",
    options={"windows": 8},
    predictions_only=True,
)
