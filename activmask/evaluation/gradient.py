"""The attribution that the localisation metrics measure.

Shapes: N images, C channels, H x W pixels, K classes.
"""

import torch
from torch import Tensor, nn

from activmask.models.inference import Classifier, classifier, images_per_pass


def attribution_name(classes: int) -> str:
    """What `contrast_gradient` computes for a network of so many classes."""
    contrast = "|y1 - y0|" if classes == 2 else "highest logit minus the next"
    return f"absolute input gradient of the contrast {contrast}, mean over channels"


def contrast_gradient(model: nn.Module, images: Tensor) -> Tensor:
    """The absolute input gradient of the contrast, averaged over channels.

    The contrast is the highest logit minus the next; with two classes this is |y1 - y0|, whose
    gradient outside the mask paper Eq. 2 penalises.

    Args:
        model: in evaluation mode, on any device.
        images: float (N, C, H, W) in [0, 1].

    Returns:
        float (N, H, W) on the CPU, at least 0.
    """
    device = next(model.parameters()).device
    logits = classifier(model, images[:1].to(device))
    maps = [
        _gradient(logits, part.to(device)).cpu()
        for part in torch.split(images, images_per_pass(images, device))
    ]
    return torch.cat(maps).abs().mean(dim=1)


def _gradient(logits: Classifier, images: Tensor) -> Tensor:
    inputs = images.detach().requires_grad_()
    first, second = logits(inputs).topk(2, dim=1).values.unbind(dim=1)
    gradient: Tensor = torch.autograd.grad((first - second).sum(), inputs)[0]
    return gradient
