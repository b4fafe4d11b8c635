"""The gradient of a class's score, averaged from a black image to the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def integrated_gradients(request: Request, *, steps: int) -> Tensor:
    """The integrated gradient of y_t from a black image.

    Sundararajan et al. 2017 (arXiv 1703.01365).

    Args:
        request: what is asked.
        steps: of Gauss-Legendre quadrature.
    """
    from captum.attr import IntegratedGradients

    maps: Tensor = IntegratedGradients(request.logits).attribute(
        request.images,
        target=request.targets,
        n_steps=steps,
        internal_batch_size=max(request.images_per_pass, len(request.images)),
    )
    return maps


INTEGRATED_GRADIENTS = Method(
    attribute=integrated_gradients,
    help="what each pixel adds to the class's score on the way from a black image",
    source="Sundararajan et al. 2017, arXiv 1703.01365",
    options={"steps": 50},
)
