"""Attribution methods: how much each pixel matters to a network's decision.

Shapes: B images, C channels, H x W pixels, K classes. The arithmetic is captum's, except for
plain gradients and for Grad-CAM, whose captum form knows feature maps of one layout only; how the
network computes while it is asked is `activmask.models.inference`'s. Captum takes a second to
import, so only the methods that it computes wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.models.inference import Classifier, classifier, images_per_pass
from activmask.saliency.feature_map import FeatureMap, as_map, find_feature_map, output_of

INTEGRATION_STEPS = 50
SMOOTHING_DRAWS = 25
SMOOTHING_NOISE = 0.15
OCCLUSION_WINDOWS = 8


@dataclass(frozen=True)
class Request:
    """What one call of a method works on."""

    model: nn.Module
    """In evaluation mode."""
    logits: Classifier
    """Its class scores (B, K) for images (B, C, H, W)."""
    images: Tensor
    """float (B, C, H, W) in [0, 1], on the model's device, requiring gradients."""
    target: int | None
    """The class whose score is explained; None for each image's predicted class."""
    seed: int
    """Of the noise, where a method draws any."""
    feature_map: FeatureMap | None = None
    """Which `gradcam` looks at."""

    def own(self, logits: Tensor) -> Tensor:
        """The explained scores (B,) among logits (B, K)."""
        return logits.max(dim=1).values if self.target is None else logits[:, self.target]

    def margin(self, logits: Tensor) -> Tensor:
        """The explained scores minus the highest of the others, (B,), of logits (B, K)."""
        if self.target is None:
            first, second = logits.topk(2, dim=1).values.unbind(dim=1)
            return first - second
        others = torch.cat([logits[:, : self.target], logits[:, self.target + 1 :]], dim=1)
        return self.own(logits) - others.amax(dim=1)

    @property
    def targets(self) -> Tensor:
        """The explained classes, int64 (B,); finding the predicted ones takes a pass."""
        if self.target is not None:
            return torch.full((len(self.images),), self.target, device=self.images.device)
        with torch.no_grad():
            return self.logits(self.images).argmax(dim=1)

    @property
    def images_per_pass(self) -> int:
        """How many images of this size fit in one pass."""
        return images_per_pass(self.images, self.images.device)


def input_gradient(request: Request) -> Tensor:
    """|dy_t / dx|, averaged over channels (Simonyan et al. 2014, arXiv 1312.6034)."""
    # The highest score is the predicted class's, so that no pass is spent on finding the class.
    return _absolute_gradient(request.own(request.logits(request.images)), request.images)


def contrast(request: Request) -> Tensor:
    """|d(y_t - max of the others) / dx|, averaged over channels.

    With two classes this is |d(y1 - y0) / dx| whatever the target, the gradient that gradmask
    penalises outside the mask (paper Eq. 2).
    """
    return _absolute_gradient(request.margin(request.logits(request.images)), request.images)


def _absolute_gradient(scores: Tensor, images: Tensor) -> Tensor:
    """|d score / d image|, averaged over channels, (B, H, W), of scores (B,) of images (B, C, H, W)."""
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    return gradient.abs().mean(dim=1)


def integrated_gradients(request: Request) -> Tensor:
    """|integrated gradient of y_t| from a black image, averaged over channels.

    Sundararajan et al. 2017 (arXiv 1703.01365), 50 Gauss-Legendre steps.
    """
    from captum.attr import IntegratedGradients

    maps: Tensor = IntegratedGradients(request.logits).attribute(
        request.images,
        target=request.targets,
        n_steps=INTEGRATION_STEPS,
        internal_batch_size=max(request.images_per_pass, len(request.images)),
    )
    return maps.abs().mean(dim=1)


def smoothgrad(request: Request) -> Tensor:
    """|mean of dy_t / dx over noisy copies|, averaged over channels.

    Smilkov et al. 2017 (arXiv 1706.03825): 25 draws of Gaussian noise whose deviation is 0.15 of
    the range of the pixels. The noise follows from the seed alone and is the same for every image.
    """
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(request.logits))
    maps = []
    devices = [request.images.device] if request.images.is_cuda else []
    for image, target in zip(torch.split(request.images, 1), torch.split(request.targets, 1), strict=True):
        # captum draws from the global generator; the fork gives its state back afterwards.
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(request.seed)
            maps.append(
                tunnel.attribute(
                    image,
                    nt_type="smoothgrad",
                    nt_samples=SMOOTHING_DRAWS,
                    nt_samples_batch_size=min(request.images_per_pass, SMOOTHING_DRAWS),
                    stdevs=SMOOTHING_NOISE,
                    target=target,
                    abs=False,
                )
            )
    return torch.cat(maps).abs().mean(dim=1)


def gradcam(request: Request) -> Tensor:
    """The positive part of Grad-CAM of y_t at the last feature map, scaled up bilinearly.

    Selvaraju et al. 2017 (arXiv 1610.02391).
    """
    assert request.feature_map is not None
    # The module's own output is asked for, so the model runs as it is.
    with output_of(request.feature_map.module) as caught:
        logits = request.model(request.images, reconstruct=False).logits
    targets = logits.argmax(dim=1) if request.target is None else request.targets
    (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), caught)
    weights = as_map(gradient).mean(dim=(2, 3), keepdim=True)
    coarse = (weights * as_map(caught[0].detach())).sum(dim=1, keepdim=True).relu()
    return F.interpolate(coarse, request.images.shape[-2:], mode="bilinear")[:, 0]


def occlusion(request: Request) -> Tensor:
    """|change of y_t| when a black square of an eighth of the side covers a pixel, in steps of half of it.

    Zeiler & Fergus 2014 (arXiv 1311.2901), averaged over the squares that cover the pixel.
    """
    from captum.attr import Occlusion

    channels, height, width = request.images.shape[1:]
    window = max(1, min(height, width) // OCCLUSION_WINDOWS)
    stride = max(1, window // 2)
    maps: Tensor = Occlusion(request.logits).attribute(
        request.images,
        sliding_window_shapes=(channels, window, window),
        strides=(channels, stride, stride),
        target=request.targets,
        perturbations_per_eval=max(1, request.images_per_pass // len(request.images)),
    )
    return maps.abs().mean(dim=1)


METHODS: dict[str, Callable[[Request], Tensor]] = {
    "input-gradient": input_gradient,
    "contrast": contrast,
    "integrated-gradients": integrated_gradients,
    "smoothgrad": smoothgrad,
    "gradcam": gradcam,
    "occlusion": occlusion,
}
"""Each maps a `Request` to attribution (B, H, W), at least 0."""


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
        layer: the module whose output `gradcam` looks at; None takes the last feature map.

    Returns:
        float (B, H, W) on the CPU, at least 0.

    Raises:
        UsageError: unknown method, class or layer, a target or layer the method cannot use, or a
            network without the layer that the method needs.
    """
    feature_map = method_layer(model, images, method=method, layer=layer)
    device = next(model.parameters()).device
    if target is not None:
        _check_target(model, images[:1].to(device), method, target)
    logits = classifier(model, images[:1].to(device))
    maps = []
    for part in torch.split(images, images_per_pass(images, device)):
        inputs = part.detach().to(device, copy=True).requires_grad_()
        request = Request(model, logits, inputs, target, seed, feature_map)
        maps.append(METHODS[method](request).detach().cpu())
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
    if method != "gradcam":
        if layer is not None:
            raise UsageError(
                f"a layer has no effect on the method {method}; leave it out or choose the method gradcam"
            )
        return None
    return find_feature_map(model, images[:1].to(next(model.parameters()).device), layer)


def _check_target(model: nn.Module, image: Tensor, method: str, target: int) -> None:
    with torch.no_grad():
        classes = model(image, reconstruct=False).logits.shape[1]
    if not 0 <= target < classes:
        raise UsageError(f"there is no class {target}: the network knows the classes 0 to {classes - 1}")
    if method == "contrast" and classes == 2:
        raise UsageError(
            "the contrast of two classes explains both at once, so a target has no effect; leave it out or "
            "choose the method input-gradient"
        )
