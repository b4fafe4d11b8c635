"""Find the convolution that Grad-CAM looks at."""

import torch
from torch import Tensor, nn

from activmask.errors import UsageError


def last_convolution(model: nn.Module, images: Tensor) -> nn.Module:
    """The convolution that runs last when `model` classifies images (B, C, H, W).

    The order of execution counts, not that of definition, and decoders do not run.

    Raises:
        UsageError: no convolution runs.
    """
    order: list[nn.Module] = []

    def note(module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        order.append(module)

    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(note) for module in convolutions]
    try:
        with torch.no_grad():
            model(images[:1], reconstruct=False)
    finally:
        for hook in hooks:
            hook.remove()
    if not order:
        raise UsageError(
            "gradcam needs a convolution and this network has none; choose another method, such as contrast"
        )
    return order[-1]
