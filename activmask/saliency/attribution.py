"""Attribution: how much each pixel matters to a network's decision, by any of `METHODS`.

Shapes: B images, C channels, H x W pixels.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest
from activmask.ground.progress import ItemsDone
from activmask.models.inference import Classifier, classifier, images_per_pass
from activmask.models.taps import device_of, refuse_unwrapped
from activmask.saliency.feature_map import FeatureMap, find_feature_map
from activmask.saliency.maps import Sign
from activmask.saliency.methods import METHODS
from activmask.saliency.request import Request


@torch.inference_mode(mode=False)
def attribute(
    model: nn.Module,
    images: Tensor,
    *,
    method: str,
    target: int | Tensor | None = None,
    seed: int = 0,
    layer: str | None = None,
    sign: Sign = "absolute",
    done: ItemsDone | None = None,
) -> Tensor:
    """Attribute a network's class scores to pixels.

    Every map is at least 0. Of absolute values, which show what matters in either direction, the mean
    over channels is taken; of what speaks for the class, the positive part of the mean over channels.
    Grad-CAM is a positive part as its authors define it, so that either sign gives the same.

    Args:
        model: in evaluation mode, on any device; left as it was.
        images: float (B, C, H, W) in [0, 1]; worked through in passes of bounded memory.
        method: a name in `METHODS`.
        target: the class to explain, or int64 (B,), that of each image; None explains each image's
            predicted class.
        seed: of the noise, where the method draws any.
        layer: the module whose output the method looks at; None takes the last feature map.
        sign: which values count.
        done: is told after each pass how many images are explained, and of how many.

    Returns:
        float (B, H, W) on the CPU, at least 0.

    Raises:
        UsageError: unknown method, class or layer, a target or layer the method cannot use, or a
            network without the layer that the method needs.
    """
    feature_map = method_layer(model, images, method=method, layer=layer)
    device = device_of(model)
    if target is not None:
        _check_target(model, images[:1].to(device), method, target, sign)
    logits = classifier(model, images[:1].to(device))
    maps = []
    for part, targets in _parts(images, target, images_per_pass(images, device, model)):
        inputs = part.detach().to(device, copy=True).requires_grad_()
        asked = None if targets is None else targets.to(device)
        maps.append(_maps(Request(model, logits, inputs, asked, seed, feature_map), method, sign))
        if done is not None:
            done(sum(map(len, maps)), len(images))
    return torch.cat(maps)


def attribute_scores(
    scores: Classifier,
    images: Tensor,
    *,
    method: str,
    target: int | Tensor | None = None,
    sign: Sign = "absolute",
) -> Tensor:
    """Attribute class scores to pixels where nothing but the scores can be had.

    Args:
        scores: from images (B, C, H, W) to class scores (B, K).
        images: float (B, C, H, W) in [0, 1]; worked through in passes of bounded memory.
        method: a name in `METHODS` that asks for scores alone.
        target: as in `attribute`.
        sign: which values count.

    Returns:
        float (B, H, W) on the CPU, at least 0.

    Raises:
        UsageError: unknown method, or one that differentiates.
    """
    _check_method(method)
    if not METHODS[method].predictions_only:
        raise UsageError(
            f"the method {method} asks for gradients, and only predictions can be had; choose the method "
            f"{listed((name for name, one in METHODS.items() if one.predictions_only), 'or')}"
        )
    return torch.cat(
        [
            _maps(Request(None, scores, part.detach(), targets, 0), method, sign)
            for part, targets in _parts(images, target, images_per_pass(images, images.device))
        ]
    )


def _parts(
    images: Tensor, target: int | Tensor | None, together: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Images that go through together, and the classes that are explained of them."""
    targets = torch.full((len(images),), target) if isinstance(target, int) else target
    for start in range(0, len(images), together):
        part = slice(start, start + together)
        yield images[part], None if targets is None else targets[part]


def _maps(request: Request, method: str, sign: Sign) -> Tensor:
    one = METHODS[method]
    signed = one.attribute(request, **one.options).detach().cpu()
    return signed.abs().mean(dim=1) if sign == "absolute" else signed.mean(dim=1).clamp(min=0)


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
    refuse_unwrapped(model)
    _check_method(method)
    if not METHODS[method].feature_map:
        if layer is not None:
            raise UsageError(
                f"a layer has no effect on the method {method}; leave it out or choose the method "
                f"{listed((name for name, one in METHODS.items() if one.feature_map), 'or')}"
            )
        return None
    return find_feature_map(model, images[:1].to(device_of(model)), layer, method=method)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise UsageError(f"there is no attribution method '{method}'; {nearest(method, METHODS)}")


def _check_target(model: nn.Module, image: Tensor, method: str, target: int | Tensor, sign: Sign) -> None:
    with torch.no_grad():
        classes = model(image, reconstruct=False).logits.shape[1]
    asked = [target] if isinstance(target, int) else target.unique().tolist()
    unknown = next((one for one in asked if not 0 <= one < classes), None)
    if unknown is not None:
        raise UsageError(f"there is no class {unknown}: the network knows the classes 0 to {classes - 1}")
    if isinstance(target, int) and sign == "absolute" and METHODS[method].between_classes and classes == 2:
        other = next((name for name, one in METHODS.items() if not one.between_classes), "")
        raise UsageError(
            f"the {method} of two classes explains both at once, so a target has no effect; leave it out"
            + (f" or choose the method {other}" if other else "")
        )
