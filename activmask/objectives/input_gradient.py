"""Penalties on the gradient of the output with respect to the input, outside the mask.

Shapes: B images, K classes, C channels, H x W pixels.
"""

import torch
from torch import Tensor

from activmask.config import GradmaskNorm, GradmaskTarget
from activmask.ground.errors import UsageError


def gradmask(
    logits: Tensor, images: Tensor, masks: Tensor, *, norm: GradmaskNorm, target: GradmaskTarget = "contrast"
) -> Tensor:
    """The size of the input gradient outside the mask (Simpson et al. 2019b; paper Eq. 2).

    Args:
        logits: (B, 2), computed from `images`.
        images: (B, C, H, W), requiring gradients.
        masks: bool (B, 1, H, W), True inside the region of interest.
        norm: `l2`, one Euclidean norm an image, averaged over the batch; or `l1`, the absolute
            values summed over the whole batch, as the authors ran it.
        target: differentiate |y1 - y0| (`contrast`) or |y1| (`positive`).

    Returns:
        A scalar, at least 0, that can itself be differentiated.

    Raises:
        UsageError: `contrast` asked of other than two classes.
    """
    if target == "contrast" and logits.shape[1] != 2:
        raise UsageError(
            f"gradmask's contrast needs two classes, found {logits.shape[1]}; use gradmask_target positive"
        )
    score = logits[:, 1] - logits[:, 0] if target == "contrast" else logits[:, 1]
    outside = _outside_gradient(score.abs(), images, masks)
    if norm == "l1":
        return outside.abs().sum()
    lengths: Tensor = torch.linalg.vector_norm(outside.flatten(1), dim=1)
    return lengths.mean()


def rrr(logits: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """The squared input gradient of the summed log-probabilities outside the mask.

    "Right for the right reasons" (Ross et al. 2017, arXiv 1703.03717, Eq. 1), summed over an
    image and averaged over the batch, as the cross-entropy beside it is.

    Args:
        logits: (B, K), computed from `images`.
        images: (B, C, H, W), requiring gradients.
        masks: bool (B, 1, H, W), True inside the region of interest.

    Returns:
        A scalar, at least 0, that can itself be differentiated.
    """
    score = logits.log_softmax(dim=1).sum(dim=1)
    return _outside_gradient(score, images, masks).square().flatten(1).sum(dim=1).mean()


def _outside_gradient(scores: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    # One backward pass serves the batch: an image's score depends on its own pixels alone, save
    # for batch statistics, whose cross terms the published form keeps as well.
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient * ~masks
