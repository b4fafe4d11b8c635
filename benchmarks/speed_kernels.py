"""How close the kernels come to copying, and how far they leave their references behind.

Shapes: B images, C channels, H x W pixels.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from activmask.kernels.activation_distance import activation_distance
from activmask.kernels.activation_distance import reference as distance_reference
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.kernels.masked_shuffle import reference as shuffle_reference
from activmask.models.build import build_model
from activmask.models.settings import Network
from benchmarks.figure import Effort, Figure
from benchmarks.floors import distance_bytes, shuffle_bytes
from benchmarks.side_by_side import Contestant, Speeds, clocked, pick, race, ratios
from benchmarks.training_contestants import COPY, OURS, device_copy

REFERENCE = "reference"
SHUFFLED: dict[int, int] = {28: 320, 128: 320, 512: 32, 1024: 8}
"""Images a call by their side in px; 320 are a step of ten replicas."""

XRAY_PX, XRAY_BATCH = 128, 32
INSIDE = 0.2


def gpu_masked_shuffle(effort: Effort) -> list[Figure]:
    """`masked_shuffle` on single-channel float32 images, by their size."""
    sizes = {16: 4} if effort.quick else SHUFFLED
    return [figure for side, batch in sizes.items() for figure in _shuffle_figures(side, batch, effort)]


def _shuffle_figures(side: int, batch: int, effort: Effort) -> list[Figure]:
    generator = torch.Generator(effort.device).manual_seed(0)
    images = torch.rand(batch, 1, side, side, device=effort.device, generator=generator)
    masks = torch.rand(images.shape, device=effort.device, generator=generator) < INSIDE
    speeds = _kernel_race(
        partial(masked_shuffle, images, masks, generator),
        partial(shuffle_reference.masked_shuffle, images, masks, generator),
        shuffle_bytes(images, masks),
        effort,
    )
    small = side < 128
    what = f"masked_shuffle, {batch} images of {side} px"
    return _kernel_figures(what, speeds, (None, None) if small else (0.55, 50.0))


def gpu_activation_distance(effort: Effort) -> list[Figure]:
    """`activation_distance` and its gradient over the taps of a ResNet-18 at X-ray size."""
    side, batch, width = (16, 2, 4) if effort.quick else (XRAY_PX, XRAY_BATCH, 64)
    shapes = _tap_shapes(side, width)
    generator = torch.Generator(effort.device).manual_seed(0)
    full, shuffled = (
        [
            torch.randn(batch, *shape, device=effort.device, generator=generator).requires_grad_()
            for shape in shapes
        ]
        for _ in range(2)
    )
    figures = []
    for norm in ("layer", "channel", "row"):
        speeds = _kernel_race(
            partial(_with_gradient, activation_distance, full, shuffled, norm),
            partial(_with_gradient, distance_reference.activation_distance, full, shuffled, norm),
            distance_bytes(full),
            effort,
        )
        what = f"activation_distance ({norm}) and its gradient, {batch} images of {side} px, float32"
        figures += _kernel_figures(what, speeds, (0.75, 4.0))
    return figures


def _tap_shapes(side: int, width: int) -> list[torch.Size]:
    model = build_model(
        Network(model="resnet18", width=width), channels=1, classes=2, image_size=side, seed=0
    )
    with torch.no_grad():
        taps: dict[str, Tensor] = model.eval()(torch.zeros(1, 1, side, side)).pre_activations
    return [tap.shape[1:] for tap in taps.values()]


def _with_gradient(
    distance: Callable[[list[Tensor], list[Tensor], Any], Tensor],
    full: list[Tensor],
    shuffled: list[Tensor],
    norm: str,
) -> None:
    torch.autograd.grad(distance(full, shuffled, norm), [*full, *shuffled])


def _kernel_race(
    ours: Callable[[], object], reference: Callable[[], object], size: int, effort: Effort
) -> Speeds:
    """Bytes a second, counting for both what the work needs at least."""
    contestants = {
        OURS: _kernel(ours, size, effort),
        REFERENCE: _kernel(reference, size, effort),
        COPY: device_copy(effort),
    }
    return race(contestants, effort, budget_s=15)


def _kernel(call: Callable[[], object], size: int, effort: Effort) -> Contestant:
    """Bytes a second of the kernels alone on CUDA, where triton's timer hides the launches."""
    if effort.device.type != "cuda":

        def once() -> float:
            call()
            return float(size)

        return clocked(once, effort.device)
    # Only CUDA builds of torch bring triton.
    timer = import_module("triton.testing")
    return lambda: size / (1e-3 * float(timer.do_bench(call, return_mode="median")))


def _kernel_figures(what: str, speeds: Speeds, targets: tuple[float | None, float | None]) -> list[Figure]:
    return [
        Figure(
            name=f"{what}: bandwidth over that of a copy",
            values=ratios(speeds, OURS, COPY),
            unit="share",
            target=targets[0],
            behind=pick(speeds, OURS, COPY),
        ),
        Figure(
            name=f"{what}: speed over the PyTorch reference",
            values=ratios(speeds, OURS, REFERENCE),
            target=targets[1],
            behind=pick(speeds, OURS, REFERENCE),
        ),
    ]
