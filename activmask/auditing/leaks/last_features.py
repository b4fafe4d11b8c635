"""What a network's last linear layer reads of each image.

Shapes: B images, C channels, H x W pixels, D features.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.random_projection import SparseRandomProjection
from torch import Tensor, nn

from activmask.models.inference import images_per_pass
from activmask.models.taps import device_of

MOST_FEATURES = 1024
"""More are projected at random onto so many, which keeps distances.

Li et al. 2006 (doi 10.1145/1150402.1150436)."""


def last_features(module: nn.Module | None, images: Tensor, *, seed: int) -> NDArray[np.float32] | str:
    """The inputs of the linear layer that runs last, (B, D), D at most `MOST_FEATURES`.

    Args:
        module: in evaluation mode, called with images and `reconstruct=False`; None where only
            predictions can be had.
        images: float32 (B, C, H, W) in [0, 1].
        seed: of the projection.

    Returns:
        The features, or why there are none.
    """
    if module is None:
        return "only predictions can be had of this classifier, so nobody sees its features"
    device = device_of(module)
    projection, parts = None, []
    for part in images.split(images_per_pass(images, device, module)):
        features = _of_pass(module, part.to(device))
        if features is None:
            return "no linear layer runs in this network, so which features are its last is not known"
        if not np.isfinite(features).all():
            return "the inputs of the network's last linear layer are not finite numbers"
        if features.shape[1] > MOST_FEATURES:
            projection = projection or SparseRandomProjection(MOST_FEATURES, random_state=seed).fit(features)
            features = projection.transform(features)
        parts.append(features)
    return np.concatenate(parts).astype(np.float32)


def _of_pass(module: nn.Module, images: Tensor) -> NDArray[np.float32] | None:
    caught: list[Tensor] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught[:] = inputs[:1]

    linear = [each for each in module.modules() if isinstance(each, nn.Linear)]
    hooks = [each.register_forward_pre_hook(note) for each in linear]
    try:
        with torch.no_grad():
            module(images, reconstruct=False)
    finally:
        for hook in hooks:
            hook.remove()
    return caught[0].reshape(len(images), -1).float().cpu().numpy() if caught else None
