"""A feature map times the gradient of a class's score with respect to it, position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def hirescam(request: Request) -> Tensor:
    """HiResCAM of y_t at the last feature map, signed, scaled up bilinearly.

    Draelos & Carin 2020 (arXiv 2011.08891), see `objectives.evidence.hirescam`.
    """
    from torch.nn import functional as F

    from activmask.objectives.evidence import hirescam as added

    coarse = added(*request.features_and_gradient())[:, None]
    return F.interpolate(coarse, request.images.shape[-2:], mode="bilinear")


HIRESCAM = Method(
    attribute=hirescam,
    help="what each position of a feature map adds to the class's score",
    source="Draelos & Carin 2020, arXiv 2011.08891",
    feature_map=True,
)
