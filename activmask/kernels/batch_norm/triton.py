# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""Batch normalisation with addition and ReLU, its derivative and that one's, in two Triton launches each.

The first launch of each adds up over rows, in parts; the second adds the parts and makes one more pass.
Nothing is added atomically, so that the same inputs give the same bits. The letters are those of
`closed_form`.

Shapes: N = B * H * W rows of C channels: activations (B, C, H, W) channels-last, or (B, C). All have
fewer than 2^31 elements of bfloat16 or float32; sums and statistics are float32.
"""

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.ahead import launch
from activmask.kernels.batch_norm.parts import Parts, parts_of

# One compiled form serves all sizes of batch and image.
_LOOSE = ["rows", "rows_per_part", "parts"]
_FOLLOWED = 256


@triton.jit
def _column(channels, channels_per_tile: tl.constexpr):
    """This program's channels, and which exist."""
    channel = tl.program_id(0) * channels_per_tile + tl.arange(0, channels_per_tile)
    return channel, channel < channels


@triton.jit
def _tile(start, last, channel, is_channel, channels, rows_per_tile: tl.constexpr):
    """Where a tile of rows x channels lies in memory, and which of it exists."""
    row = start + tl.arange(0, rows_per_tile)
    return row[:, None] * channels + channel[None, :], (row < last)[:, None] & is_channel[None, :]


@triton.jit
def _load(tensor, where, inside):
    return tl.load(tensor + where, mask=inside, other=0).to(tl.float32)


@triton.jit
def _added(sums, channel, is_channel, channels, parts, parts_per_tile: tl.constexpr):
    """The sum over all parts, for each channel."""
    part = tl.arange(0, parts_per_tile)
    exists = (part < parts)[:, None] & is_channel[None, :]
    return tl.sum(tl.load(sums + part[:, None] * channels + channel[None, :], mask=exists, other=0), 0)


@triton.jit(do_not_specialize=_LOOSE)
def _measure(
    images, means, squares, rows, channels, rows_per_part,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr,
):  # fmt: skip
    """Of a part of the rows: each channel's mean, and its sum of squared distances from that."""
    channel, is_channel = _column(channels, channels_per_tile)
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    # Distances from any of the values are small where the values are large and alike.
    origin = tl.load(images + first * channels + channel, mask=is_channel, other=0).to(tl.float32)
    total = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    square = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    for start in range(first, last, rows_per_tile):
        where, inside = _tile(start, last, channel, is_channel, channels, rows_per_tile)
        away = tl.where(inside, _load(images, where, inside) - origin[None, :], 0)
        total += away
        square += away * away
    count = (last - first).to(tl.float32)
    shift = tl.sum(total, 0) / count
    to = tl.program_id(1) * channels + channel
    tl.store(means + to, origin + shift, mask=is_channel)
    tl.store(squares + to, tl.maximum(tl.sum(square, 0) - count * shift * shift, 0), mask=is_channel)


@triton.jit
def _statistics(
    means, squares, channel, is_channel, channels, rows, rows_per_part, parts, parts_per_tile: tl.constexpr
):
    """Each channel's mean and biased variance over all rows."""
    part = tl.arange(0, parts_per_tile)
    exists = (part < parts)[:, None] & is_channel[None, :]
    where = part[:, None] * channels + channel[None, :]
    own = tl.load(means + where, mask=exists, other=0)
    count = tl.where(part < parts, tl.minimum(rows - part * rows_per_part, rows_per_part), 0).to(tl.float32)
    mean = tl.sum(own * count[:, None], 0) / rows
    away = own - mean[None, :]
    spread = tl.load(squares + where, mask=exists, other=0) + count[:, None] * away * away
    return mean, tl.sum(spread, 0) / rows


@triton.jit(do_not_specialize=_LOOSE)
def _normalise(
    images, weight, bias, residual, output, before, mean, variance, means, squares,
    rows, channels, rows_per_part, parts, epsilon,
    has_weight: tl.constexpr, has_bias: tl.constexpr, has_residual: tl.constexpr,
    relu: tl.constexpr, tapped: tl.constexpr,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr, parts_per_tile: tl.constexpr,
):  # fmt: skip
    """y, and s where it is wanted, of a part of the rows; the first part also keeps the statistics."""
    channel, is_channel = _column(channels, channels_per_tile)
    center, spread = _statistics(
        means, squares, channel, is_channel, channels, rows, rows_per_part, parts, parts_per_tile
    )
    if tl.program_id(1) == 0:
        tl.store(mean + channel, center, mask=is_channel)
        tl.store(variance + channel, spread, mask=is_channel)
    scale = 1 / tl.sqrt(spread + epsilon)
    if has_weight:
        scale *= _load(weight, channel, is_channel)
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    for start in range(first, last, rows_per_tile):
        where, inside = _tile(start, last, channel, is_channel, channels, rows_per_tile)
        value = (_load(images, where, inside) - center[None, :]) * scale[None, :]
        if has_bias:
            value += _load(bias, channel, is_channel)[None, :]
        if has_residual:
            value += _load(residual, where, inside)
        if tapped:
            tl.store(before + where, value.to(before.dtype.element_ty), mask=inside)
        if relu:
            # Not by maximum, which would hide what is not a number.
            value = tl.where(value < 0, 0, value)
        tl.store(output + where, value.to(output.dtype.element_ty), mask=inside)


@triton.jit
def _reaching(
    gradient, tapped, output, where, inside,
    has_gradient: tl.constexpr, has_tapped: tl.constexpr, relu: tl.constexpr,
):  # fmt: skip
    """The h of the formulas."""
    if has_gradient:
        value = _load(gradient, where, inside)
        if relu:
            value = tl.where(_load(output, where, inside) <= 0, 0, value)
    else:
        value = tl.zeros(inside.shape, tl.float32)
    if has_tapped:
        value += _load(tapped, where, inside)
    return value


@triton.jit
def _scales(mean, variance, channel, is_channel, epsilon):
    """Each channel's mean, and the r of the formulas."""
    spread = tl.load(variance + channel, mask=is_channel, other=1)
    return tl.load(mean + channel, mask=is_channel, other=0), 1 / tl.sqrt(spread + epsilon)


@triton.jit(do_not_specialize=_LOOSE)
def _backward_sums(
    gradient, tapped, images, output, mean, variance, of_h, of_hz, reaching,
    rows, channels, rows_per_part, epsilon,
    has_gradient: tl.constexpr, has_tapped: tl.constexpr, relu: tl.constexpr, keeps: tl.constexpr,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr,
):  # fmt: skip
    """Of a part of the rows: the sums of h and h z, and h where it is wanted."""
    channel, is_channel = _column(channels, channels_per_tile)
    center, r = _scales(mean, variance, channel, is_channel, epsilon)
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    sum_h = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    sum_hz = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    for start in range(first, last, rows_per_tile):
        where, inside = _tile(start, last, channel, is_channel, channels, rows_per_tile)
        h = _reaching(gradient, tapped, output, where, inside, has_gradient, has_tapped, relu)
        z = (_load(images, where, inside) - center[None, :]) * r[None, :]
        sum_h += h
        sum_hz += h * z
        if keeps:
            tl.store(reaching + where, h.to(reaching.dtype.element_ty), mask=inside)
    to = tl.program_id(1) * channels + channel
    tl.store(of_h + to, tl.sum(sum_h, 0), mask=is_channel)
    tl.store(of_hz + to, tl.sum(sum_hz, 0), mask=is_channel)


@triton.jit(do_not_specialize=_LOOSE)
def _backward(
    gradient, images, weight, output, mean, variance, of_h, of_hz,
    to_images, to_weight, to_bias, rows, channels, rows_per_part, parts, epsilon,
    has_weight: tl.constexpr, relu: tl.constexpr,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr, parts_per_tile: tl.constexpr,
):  # fmt: skip
    """The dx of a part of the rows; the first part also keeps dw and db."""
    channel, is_channel = _column(channels, channels_per_tile)
    center, r = _scales(mean, variance, channel, is_channel, epsilon)
    sum_h = _added(of_h, channel, is_channel, channels, parts, parts_per_tile)
    sum_hz = _added(of_hz, channel, is_channel, channels, parts, parts_per_tile)
    if tl.program_id(1) == 0:
        tl.store(to_bias + channel, sum_h, mask=is_channel)
        tl.store(to_weight + channel, sum_hz, mask=is_channel)
    scale = r
    if has_weight:
        scale *= _load(weight, channel, is_channel)
    mean_h, q = sum_h / rows, sum_hz / rows
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    for start in range(first, last, rows_per_tile):
        where, inside = _tile(start, last, channel, is_channel, channels, rows_per_tile)
        h = _reaching(gradient, gradient, output, where, inside, True, False, relu)
        z = (_load(images, where, inside) - center[None, :]) * r[None, :]
        slope = scale[None, :] * (h - mean_h[None, :] - z * q[None, :])
        tl.store(to_images + where, slope.to(to_images.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=_LOOSE)
def _twice_sums(
    to_images, gradient, tapped, images, output, mean, variance, sums,
    rows, channels, rows_per_part, parts, epsilon,
    has_images: tl.constexpr, has_gradient: tl.constexpr, has_tapped: tl.constexpr, relu: tl.constexpr,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr,
):  # fmt: skip
    """Of a part of the rows: the sums of u, u z, h, h z and u h."""
    channel, is_channel = _column(channels, channels_per_tile)
    center, r = _scales(mean, variance, channel, is_channel, epsilon)
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    of_u = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    of_uz = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    of_h = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    of_hz = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    of_uh = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    for start in range(first, last, rows_per_tile):
        where, inside = _tile(start, last, channel, is_channel, channels, rows_per_tile)
        h = _reaching(gradient, tapped, output, where, inside, has_gradient, has_tapped, relu)
        z = (_load(images, where, inside) - center[None, :]) * r[None, :]
        of_h += h
        of_hz += h * z
        if has_images:
            u = _load(to_images, where, inside)
            of_u += u
            of_uz += u * z
            of_uh += u * h
    to = tl.program_id(1) * channels + channel
    tl.store(sums + to, tl.sum(of_u, 0), mask=is_channel)
    tl.store(sums + parts * channels + to, tl.sum(of_uz, 0), mask=is_channel)
    tl.store(sums + 2 * parts * channels + to, tl.sum(of_h, 0), mask=is_channel)
    tl.store(sums + 3 * parts * channels + to, tl.sum(of_hz, 0), mask=is_channel)
    tl.store(sums + 4 * parts * channels + to, tl.sum(of_uh, 0), mask=is_channel)


@triton.jit(do_not_specialize=_LOOSE)
def _twice(
    to_images, to_residual, to_weight, to_bias, gradient, tapped, images, weight, output, mean, variance,
    sums, of_gradient, of_tapped, of_images, of_weight, rows, channels, rows_per_part, parts, epsilon,
    has_images: tl.constexpr, has_residual: tl.constexpr, has_to_weight: tl.constexpr, has_bias: tl.constexpr,
    has_gradient: tl.constexpr, has_tapped: tl.constexpr, has_weight: tl.constexpr, relu: tl.constexpr,
    wants_tapped: tl.constexpr,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr, parts_per_tile: tl.constexpr,
):  # fmt: skip
    """The gradients in `gradient`, `tapped` and images of a part of the rows; the first part keeps dw."""
    channel, is_channel = _column(channels, channels_per_tile)
    center, r = _scales(mean, variance, channel, is_channel, epsilon)
    buffer = parts * channels
    mean_u = _added(sums, channel, is_channel, channels, parts, parts_per_tile) / rows
    p = _added(sums + buffer, channel, is_channel, channels, parts, parts_per_tile) / rows
    mean_h = _added(sums + 2 * buffer, channel, is_channel, channels, parts, parts_per_tile) / rows
    q = _added(sums + 3 * buffer, channel, is_channel, channels, parts, parts_per_tile) / rows
    k = _added(sums + 4 * buffer, channel, is_channel, channels, parts, parts_per_tile) / rows
    k -= mean_u * mean_h + p * q
    if tl.program_id(1) == 0:
        tl.store(of_weight + channel, rows * r * k, mask=is_channel)
    scale = r
    if has_weight:
        scale *= _load(weight, channel, is_channel)
    a = tl.zeros((channels_per_tile,), tl.float32)
    if has_to_weight:
        a += _load(to_weight, channel, is_channel)
    c = tl.zeros((channels_per_tile,), tl.float32)
    if has_bias:
        c += _load(to_bias, channel, is_channel)
    # The means of v and v z follow from the sums.
    mean_v = a * mean_h - scale * (q * mean_u + p * mean_h)
    mean_vz = a * q - 2 * scale * p * q
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    for start in range(first, last, rows_per_tile):
        where, inside = _tile(start, last, channel, is_channel, channels, rows_per_tile)
        h = _reaching(gradient, tapped, output, where, inside, has_gradient, has_tapped, relu)
        z = (_load(images, where, inside) - center[None, :]) * r[None, :]
        v = a[None, :] * h
        passed = a[None, :] * z + c[None, :]
        if has_images:
            u = _load(to_images, where, inside)
            v -= scale[None, :] * (q[None, :] * u + p[None, :] * h)
            passed += scale[None, :] * (u - mean_u[None, :] - z * p[None, :])
        if has_residual:
            passed += _load(to_residual, where, inside)
        slope = r[None, :] * (v - mean_v[None, :] - z * mean_vz[None, :]) - (scale * r * k)[None, :] * z
        tl.store(of_images + where, slope.to(of_images.dtype.element_ty), mask=inside)
        if wants_tapped:
            tl.store(of_tapped + where, passed.to(of_tapped.dtype.element_ty), mask=inside)
        if relu:
            passed = tl.where(_load(output, where, inside) <= 0, 0, passed)
        tl.store(of_gradient + where, passed.to(of_gradient.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["channels"])
def _follow(
    running_mean, running_variance, mean, variance, channels, momentum, unbiased, elements: tl.constexpr
):
    channel = tl.program_id(0) * elements + tl.arange(0, elements)
    exists = channel < channels
    old = tl.load(running_mean + channel, mask=exists)
    tl.store(
        running_mean + channel, old + momentum * (tl.load(mean + channel, mask=exists) - old), mask=exists
    )
    old = tl.load(running_variance + channel, mask=exists)
    new = tl.load(variance + channel, mask=exists) * unbiased
    tl.store(running_variance + channel, old + momentum * (new - old), mask=exists)


def forward(
    images: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    epsilon: float,
    relu: bool,
    tapped: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The output y; s with ReLU and `tapped`, otherwise nothing; mean and biased variance."""
    cut, rows, channels = _cut(images)
    output, keeps = torch.empty_like(images), relu and tapped
    before = torch.empty_like(images) if keeps else images.new_empty(0)
    # An operator's results may not share memory.
    mean, variance = (_new((channels,), images) for _ in range(2))
    means, squares = _new((2, cut.parts, channels), images)
    with torch.cuda.device_of(images):
        launch(
            _measure,
            cut.grid,
            images,
            means,
            squares,
            rows,
            channels,
            cut.rows_per_part,
            cut.channels_per_tile,
            cut.rows_per_tile,
        )
        launch(
            _normalise, cut.grid,
            images, _or(weight, images), _or(bias, images), _or(residual, images), output,
            _or(before if keeps else None, images), mean, variance, means, squares,
            rows, channels, cut.rows_per_part, cut.parts, epsilon,
            weight is not None, bias is not None, residual is not None, relu, keeps,
            cut.channels_per_tile, cut.rows_per_tile, cut.parts_per_tile,
        )  # fmt: skip
    return output, before, mean, variance


def backward(
    gradient: Tensor | None,
    tapped: Tensor | None,
    images: Tensor,
    weight: Tensor | None,
    output: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    wants_residual: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients in images, residual (if wanted), weight and bias."""
    cut, rows, channels = _cut(images)
    # Where h is more to read than it is itself, the second launch reads what the first has written.
    keeps = wants_residual or tapped is not None
    reaching = torch.empty_like(images) if keeps else None
    to_images = torch.empty_like(images)
    to_weight, to_bias = (torch.empty_like(mean) for _ in range(2))
    of_h, of_hz = _new((2, cut.parts, channels), images)
    with torch.cuda.device_of(images):
        launch(
            _backward_sums, cut.grid,
            _or(gradient, images), _or(tapped, images), images, _or(output, images), mean, variance,
            of_h, of_hz, _or(reaching, images), rows, channels, cut.rows_per_part, epsilon,
            gradient is not None, tapped is not None, output is not None, keeps,
            cut.channels_per_tile, cut.rows_per_tile,
        )  # fmt: skip
        launch(
            _backward, cut.grid,
            _or(reaching, _or(gradient, images)), images, _or(weight, images), _or(output, images),
            mean, variance, of_h, of_hz, to_images, to_weight, to_bias,
            rows, channels, cut.rows_per_part, cut.parts, epsilon,
            weight is not None, output is not None and not keeps,
            cut.channels_per_tile, cut.rows_per_tile, cut.parts_per_tile,
        )  # fmt: skip
    to_residual = reaching if wants_residual and reaching is not None else images.new_empty(0)
    return to_images, to_residual, to_weight, to_bias


def twice_backward(
    to_images: Tensor | None,
    to_residual: Tensor | None,
    to_weight: Tensor | None,
    to_bias: Tensor | None,
    gradient: Tensor | None,
    tapped: Tensor | None,
    images: Tensor,
    weight: Tensor | None,
    output: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    wants_tapped: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients in `gradient`, `tapped` (if wanted), images and weight."""
    cut, rows, channels = _cut(images)
    of_gradient, of_images = torch.empty_like(images), torch.empty_like(images)
    of_tapped = torch.empty_like(images) if wants_tapped else images.new_empty(0)
    of_weight = torch.empty_like(mean)
    sums = _new((5, cut.parts, channels), images)
    u, e, a, c, g, t, w, y = (
        _or(each, images)
        for each in (to_images, to_residual, to_weight, to_bias, gradient, tapped, weight, output)
    )
    has_u, has_e, has_a, has_c, has_g, has_t, has_w, relu = (
        each is not None
        for each in (to_images, to_residual, to_weight, to_bias, gradient, tapped, weight, output)
    )
    with torch.cuda.device_of(images):
        launch(
            _twice_sums, cut.grid,
            u, g, t, images, y, mean, variance, sums,
            rows, channels, cut.rows_per_part, cut.parts, epsilon,
            has_u, has_g, has_t, relu, cut.channels_per_tile, cut.rows_per_tile,
        )  # fmt: skip
        launch(
            _twice, cut.grid,
            u, e, a, c, g, t, images, w, y, mean, variance, sums,
            of_gradient, _or(of_tapped if wants_tapped else None, images), of_images, of_weight,
            rows, channels, cut.rows_per_part, cut.parts, epsilon,
            has_u, has_e, has_a, has_c, has_g, has_t, has_w, relu, wants_tapped,
            cut.channels_per_tile, cut.rows_per_tile, cut.parts_per_tile,
        )  # fmt: skip
    return of_gradient, of_tapped, of_images, of_weight


def follow(
    running_mean: Tensor,
    running_variance: Tensor,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    count: int,
) -> None:
    """Move running statistics of float32 towards those of a batch of `count` values a channel."""
    channels = len(mean)
    with torch.cuda.device_of(mean):
        launch(
            _follow,
            (-(-channels // _FOLLOWED),),
            running_mean,
            running_variance,
            mean,
            variance,
            channels,
            momentum,
            count / (count - 1),
            _FOLLOWED,
        )


def _cut(images: Tensor) -> tuple[Parts, int, int]:
    """The programs, and the numbers of rows and channels."""
    channels = images.shape[1]
    rows = images.numel() // channels
    return parts_of(rows, channels), rows, channels


def _new(size: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory for sums and statistics."""
    return like.new_empty(size, dtype=torch.float32)


def _or(tensor: Tensor | None, filler: Tensor) -> Tensor:
    """A tensor, or one that a kernel takes in its place and neither reads nor writes."""
    return filler if tensor is None else tensor
