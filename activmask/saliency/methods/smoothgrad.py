"""The gradient of a class's score, averaged over noisy copies of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.saliency.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from activmask.saliency.request import Request


def smoothgrad(request: Request, *, draws: int, noise: float) -> Tensor:
    """The mean of dy_t / dx over noisy copies.

    Smilkov et al. 2017 (arXiv 1706.03825). The noise follows from the seed alone and is the same for
    every image.

    Args:
        request: what is asked.
        draws: how many copies.
        noise: deviation of the Gaussian noise, as a share of the range of the pixels.
    """
    import torch
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
                    nt_samples=draws,
                    nt_samples_batch_size=min(request.images_per_pass, draws),
                    stdevs=noise,
                    target=target,
                    abs=False,
                )
            )
    return torch.cat(maps)


SMOOTHGRAD = Method(
    attribute=smoothgrad,
    help="the same as input-gradient, averaged over noisy copies of the image",
    source="Smilkov et al. 2017, arXiv 1706.03825",
    options={"draws": 25, "noise": 0.15},
)
