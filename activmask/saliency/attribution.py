"""Attribution: how much each pixel matters to a network's decision, by any of `METHODS`.

Shapes: B images, C channels, H x W pixels.
"""

import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest
from activmask.models.inference import classifier, device_of, images_per_pass
from activmask.saliency.feature_map import FeatureMap, find_feature_map
from activmask.saliency.methods import METHODS
from activmask.saliency.request import Request


def attribute(
    model: nn.Module,
    images: Tensor,
    *,
    method: str,
    target: int | None = None,
    seed: int = 0,
    layer: str | None = None,
) -> Tensor:
    """Attribute a network's class scores to pixels.

    Every map is at least 0: absolute values for the gradient methods and occlusion, which so show
    what matters in either direction, and the positive part for Grad-CAM, as its authors define it.

    Args:
        model: in evaluation mode, on any device; left as it was.
        images: float (B, C, H, W) in [0, 1]; worked through in passes of bounded memory.
        method: a name in `METHODS`.
        target: the class to explain; None explains each image's predicted class.
        seed: of the noise, where the method draws any.
        layer: the module whose output the method looks at; None takes the last feature map.

    Returns:
        float (B, H, W) on the CPU, at least 0.

    Raises:
        UsageError: unknown method, class or layer, a target or layer the method cannot use, or a
            network without the layer that the method needs.
    """
    feature_map = method_layer(model, images, method=method, layer=layer)
    one, device = METHODS[method], device_of(model)
    if target is not None:
        _check_target(model, images[:1].to(device), method, target)
    logits = classifier(model, images[:1].to(device))
    maps = []
    for part in torch.split(images, images_per_pass(images, device)):
        inputs = part.detach().to(device, copy=True).requires_grad_()
        request = Request(model, logits, inputs, target, seed, feature_map)
        maps.append(one.attribute(request, **one.options).detach().cpu())
    return torch.cat(maps)


def method_layer(
    model: nn.Module, images: Tensor, *, method: str, layer: str | None = None
) -> FeatureMap | None:
    """The feature map that a method looks at; None for a method that looks at none.

    Args:
        model: in evaluation mode, on any device.
        images: float (B, C, H, W), B at least 1.
        method: a name in `METHODS`.
        layer: the module to take instead of the last feature map.

    Raises:
        UsageError: unknown method or layer, a layer for a method that looks at none, or no layer to take.
    """
    if method not in METHODS:
        raise UsageError(f"there is no attribution method '{method}'; {nearest(method, METHODS)}")
    if not METHODS[method].feature_map:
        if layer is not None:
            raise UsageError(
                f"a layer has no effect on the method {method}; leave it out or choose the method "
                f"{listed((name for name, one in METHODS.items() if one.feature_map), 'or')}"
            )
        return None
    device = device_of(model)
    return find_feature_map(model, images[:1].to(device), layer, method=method)


def _check_target(model: nn.Module, image: Tensor, method: str, target: int) -> None:
    with torch.no_grad():
        classes = model(image, reconstruct=False).logits.shape[1]
    if not 0 <= target < classes:
        raise UsageError(f"there is no class {target}: the network knows the classes 0 to {classes - 1}")
    if METHODS[method].between_classes and classes == 2:
        other = next((name for name, one in METHODS.items() if not one.between_classes), "")
        raise UsageError(
            f"the {method} of two classes explains both at once, so a target has no effect; leave it out"
            + (f" or choose the method {other}" if other else "")
        )
