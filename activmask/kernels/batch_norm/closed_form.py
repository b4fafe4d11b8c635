"""Batch normalisation with addition and ReLU, its derivative and that one's, written out, in plain PyTorch.

Per channel, over its n values, with a bar for the mean over them:

    z = (x - x̄) r,   r = 1 / sqrt(variance + epsilon),   s = w z + b + residual,   y = relu(s)

Backward, of the gradients g in y and t in s, and h = [y > 0] g + t, which is that of the residual:

    dx = w r (h - h̄ - z q),   dw = n q,   db = n h̄,   q = mean(h z)

Twice backward, of the tangents u in dx, a in dw, c in db and e in h:

    dh = w r (u - ū - z p) + a z + c + e,   p = mean(u z),   dw = n r k,   k = mean(u h) - ū h̄ - p q
    dx = r (v - v̄ - z mean(v z)) - w r² k z,   v = a h - w r (q u + p h)

The statistics are functions of x, and these formulas differentiate through them. The second is
its own in u as the first is in h: z is orthogonal to constants, so that dx is a symmetric map of h.

Shapes: B images, C channels, any positions; statistics, weights and their gradients (C,), single
precision or double. None where there is no such tensor, or where its gradient is zero.
"""

import torch
from torch import Tensor


def wide_type(images: Tensor) -> torch.dtype:
    """The type of statistics and sums."""
    return torch.float64 if images.dtype == torch.float64 else torch.float32


def forward(
    images: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    epsilon: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The output y, what came before the ReLU, s; mean and biased variance of each channel."""
    wide = images.to(wide_type(images))
    variance, mean = torch.var_mean(wide, _axes(images), correction=0)
    before = _normalised(images, mean, variance, epsilon) * _factor(weight, images)
    if bias is not None:
        before = before + _column(bias, images)
    if residual is not None:
        before = before + residual
    before = before.to(images.dtype)
    return before.relu() if relu else before, before, mean, variance


def backward(
    gradient: Tensor | None,
    tapped: Tensor | None,
    images: Tensor,
    weight: Tensor | None,
    output: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients in images, residual, weight and bias: dx, h, dw, db.

    `output` is y where there is a ReLU, otherwise None.
    """
    count, axes = images.numel() // images.shape[1], _axes(images)
    z, r = _normalised(images, mean, variance, epsilon), _column(torch.rsqrt(variance + epsilon), images)
    h = _reaching(gradient, tapped, images, output)
    q = (h * z).mean(axes)
    slope = h - h.mean(axes, keepdim=True) - z * _column(q, images)
    return (
        (_factor(weight, images) * r * slope).to(images.dtype),
        h.to(images.dtype),
        count * q,
        count * h.mean(axes),
    )


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
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients in `gradient`, `tapped`, images and weight, of tangents u, e, a and c."""
    axes = _axes(images)
    z, r = _normalised(images, mean, variance, epsilon), _column(torch.rsqrt(variance + epsilon), images)
    w = _factor(weight, images)
    h = _reaching(gradient, tapped, images, output)
    u = torch.zeros_like(z) if to_images is None else to_images.to(z.dtype)
    a = torch.zeros_like(mean) if to_weight is None else to_weight
    p, q, of_u, of_h = (each.mean(axes, keepdim=True) for each in (u * z, h * z, u, h))
    k = (u * h).mean(axes, keepdim=True) - of_u * of_h - p * q
    to_h = w * r * (u - of_u - z * p) + _column(a, images) * z
    if to_bias is not None:
        to_h = to_h + _column(to_bias, images)
    if to_residual is not None:
        to_h = to_h + to_residual
    v = _column(a, images) * h - w * r * (q * u + p * h)
    slope = r * (v - v.mean(axes, keepdim=True) - z * (v * z).mean(axes, keepdim=True)) - w * r * r * k * z
    passed = to_h if output is None else torch.where(output <= 0, 0, to_h)
    count = images.numel() // images.shape[1]
    return (
        passed.to(images.dtype),
        to_h.to(images.dtype),
        slope.to(images.dtype),
        (count * r * k).flatten(),
    )


def _axes(images: Tensor) -> list[int]:
    """All but the channels'."""
    return [0, *range(2, images.ndim)]


def _column(values: Tensor, images: Tensor) -> Tensor:
    """One value a channel, to go with the images."""
    return values.view(1, -1, *[1] * (images.ndim - 2))


def _factor(weight: Tensor | None, images: Tensor) -> Tensor | float:
    return 1.0 if weight is None else _column(weight, images)


def _normalised(images: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """The z of the formulas."""
    scale = _column(torch.rsqrt(variance + epsilon), images)
    return (images.to(mean.dtype) - _column(mean, images)) * scale


def _reaching(
    gradient: Tensor | None, tapped: Tensor | None, images: Tensor, output: Tensor | None
) -> Tensor:
    """The h of the formulas: what reaches the sum before the ReLU."""
    wide = wide_type(images)
    passed = torch.zeros_like(images, dtype=wide) if gradient is None else gradient.to(wide)
    if output is not None:
        passed = torch.where(output <= 0, 0, passed)
    return passed if tapped is None else passed + tapped
