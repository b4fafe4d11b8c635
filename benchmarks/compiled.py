"""What the kernels of training become for a Hopper GPU, compiled here, where there need be none.

    python -m benchmarks compiled

compiles the convolution and batch normalisation of ten stacked networks, in every size that ResNet-18 and
a UNet of width 16 have at 28 x 28 px, batches of 32, and reads registers, shared memory and spilled bytes
in the report of ptxas. It says nothing about time. A kernel that spills ends it with exit code 1.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from activmask.ground.errors import UsageError
from activmask.kernels.convolution.tiles import Precision
from benchmarks.command import Findings
from benchmarks.hopper import Compiled, Launch, compiled, recorded
from benchmarks.result import Cell, column

BATCH, NETWORKS = 32, 10


@dataclass(frozen=True)
class Layer:
    """A convolution: C channels in, D out, images of a size in px."""

    inside: int
    outside: int
    size: int
    kernel: int = 3
    stride: int = 1

    @property
    def name(self) -> str:
        """Such as `64 -> 128, 3 x 3, stride 2, 28 px`."""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{self.inside} -> {self.outside}, {self.kernel} x {self.kernel}{stride}, {self.size} px"


LAYERS = (
    Layer(1, 64, 28),
    Layer(64, 64, 28),
    Layer(64, 128, 28, stride=2),
    Layer(64, 128, 28, kernel=1, stride=2),
    Layer(128, 128, 14),
    Layer(256, 256, 7),
    Layer(512, 512, 4),
    Layer(1, 16, 28),
    Layer(16, 16, 28),
    Layer(32, 32, 14),
    Layer(64, 64, 7),
    Layer(128, 128, 3),
    Layer(32, 16, 28, kernel=1),
    Layer(3, 64, 28, kernel=7, stride=2),
    Layer(48, 24, 14, kernel=5),
)
NORMALISED = ((64, 28), (512, 4))
"""Channels and px."""
PRECISIONS: tuple[Precision, ...] = ("bf16", "tf32", "ieee")
_BESIDE = {"_turn": ", turning the weight", "_add_up": ", adding up"}
"""What an operator launches beside its products, in words."""


def convolution_launches(layer: Layer, precision: Precision) -> list[tuple[str, Launch]]:
    """What the three operators launch, each with its name."""
    from activmask.kernels.convolution import reference
    from activmask.kernels.convolution import triton as form
    from activmask.kernels.convolution import triton_sums as sums

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    pad = [(layer.kernel - 1) // 2] * 2
    images = _tensor((BATCH, NETWORKS * layer.inside, layer.size, layer.size), dtype)
    weight = _tensor((NETWORKS * layer.outside, layer.inside, layer.kernel, layer.kernel), dtype)
    stride = [layer.stride] * 2
    gradient = _tensor(reference.output_shape(images.shape, weight.shape, stride, pad), dtype)
    how = stride, pad, NETWORKS, precision
    named: list[tuple[str, Launch]] = []
    for name, first, second, third in (
        ("conv2d", images, weight, None),
        ("data_gradient", gradient, weight, images.shape),
        ("weight_gradient", images, gradient, weight.shape),
    ):
        with recorded(form) as launches:
            getattr(form, name)(first, second, third, *how)
        words = name.replace("_", " ")
        named += [(words + _BESIDE.get(launch.kernel.__name__, ""), launch) for launch in launches]
    for tapped, words in ((False, "conv2d and ReLU"), (True, "conv2d, kept, and ReLU")):
        with recorded(form) as launches:
            form.conv2d_relu(
                images, weight, weight[:, 0, 0, 0].contiguous(), stride, pad, NETWORKS, precision, tapped
            )
        named += [(words, launch) for launch in launches]
    with recorded(sums) as launches:
        sums.bias_gradient(gradient)
        sums.rectified_gradient(gradient, gradient, gradient, True)
    adding = ("bias gradient", "ReLU's and bias gradient")
    titles = [title for each in adding for title in (each, f"{each}, adding up")]
    return named + list(zip(titles, launches, strict=True))


def normalisation_launches(channels: int, size: int, precision: str) -> list[tuple[str, Launch]]:
    """What batch normalisation with all that it can have launches, each kernel with its name."""
    from activmask.kernels.batch_norm import triton as form

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    large = _tensor((BATCH, NETWORKS * channels, size, size), dtype)
    small = torch.empty(NETWORKS * channels, device="meta")
    given = large, large, large, small, large, small, small
    with recorded(form) as launches:
        form.forward(large, small, small, large, 1e-5, True, True)
        form.backward(*given, 1e-5, True)
        form.twice_backward(large, large, small, small, *given, 1e-5, True)
        form.follow(small, small, small, small, 0.1, BATCH * size * size)
    return [(launch.kernel.__name__.strip("_").replace("_", " "), launch) for launch in launches]


def _tensor(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(tuple(shape), dtype=dtype, device="meta", memory_format=torch.channels_last)


def add_options(parser: ArgumentParser) -> None:
    """Declare which precisions."""
    parser.add_argument(
        "--precisions", nargs="*", choices=PRECISIONS, metavar="PRECISION", help=f"of {', '.join(PRECISIONS)}"
    )


def measure(given: Namespace) -> Iterator[Findings]:
    """Compile all of it."""
    try:
        import triton  # noqa: F401
    except ImportError as error:
        raise UsageError("triton is not installed; torch brings it on Linux") from error
    rows: list[list[Cell]] = []
    spilled = 0
    for precision in given.precisions or PRECISIONS:
        asked = [(layer.name, convolution_launches(layer, precision)) for layer in LAYERS]
        if precision != "tf32":
            asked += [
                (f"normalisation of {channels}, {size} px", normalisation_launches(channels, size, precision))
                for channels, size in NORMALISED
            ]
        for layer, launches in asked:
            for name, launch in launches:
                found = compiled(launch)
                spilled += found.spilled
                rows.append(_row(precision, layer, name, launch, found))
            yield _findings(rows, spilled)


def _row(precision: str, layer: str, name: str, launch: Launch, found: Compiled) -> list[Cell]:
    tiles = [value for key, value in launch.arguments.items() if key.endswith("_per_tile")]
    tile = " x ".join(map(str, tiles))
    warps = launch.options.get("num_warps", 4)
    return [
        precision,
        layer,
        name,
        tile,
        warps,
        found.products,
        found.registers,
        found.shared / 1024,
        found.spilled,
        found.step,
    ]


def _findings(rows: list[list[Cell]], spilled: int) -> Findings:
    columns = [
        *(column(name) for name in ("products", "layer", "kernel", "tile")),
        column("warps", "d"),
        column("by"),
        column("registers", "d"),
        column("shared KiB", ".0f"),
        column("spilled bytes", "d"),
        column("instructions a step", "d"),
    ]
    return Findings(
        title=f"The kernels of {NETWORKS} stacked networks, compiled for a Hopper GPU",
        parts=[{"table": {"columns": columns, "rows": list(rows)}}],
        failed=spilled > 0,
    )
