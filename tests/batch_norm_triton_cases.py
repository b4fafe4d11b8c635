"""What the Triton form of batch normalisation must do, run by `test_batch_norm_triton.py`."""

from itertools import product

import pytest
import torch
from torch import Tensor

from activmask.kernels.batch_norm import batch_norm, closed_form, forms
from activmask.kernels.batch_norm import triton as form
from activmask.kernels.batch_norm.parts import parts_of

pytestmark = pytest.mark.process  # Triton compiles by other programs.

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
TYPES = [torch.float32, torch.bfloat16]
# Of the largest value: what one rounding to the type leaves, and single precision's sums.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 2**-7}
SHAPES = [(3, 5, 4, 3), (2, 1, 1, 1), (2, 70, 5, 5), (1, 16, 9, 9), (7, 33)]
FLAGS = [
    dict(zip(("relu", "more", "affine"), each, strict=True)) for each in product((False, True), repeat=3)
]
"""With or without ReLU; weight and bias; and all that may be added, or be asked for, or have a gradient."""


@pytest.fixture(autouse=True)
def memory_is_nan():
    """Memory that nobody has written to holds NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def drawn(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    """Values in the middle of memory that holds NaN, channels-last."""
    source = torch.Generator().manual_seed(seed)
    last = [shape[0], *shape[2:], shape[1]] if len(shape) > 1 else list(shape)
    memory = torch.full((last[0] + 2, *last[1:]), float("nan"), dtype=dtype, device=DEVICE)
    inner = memory[1:-1]
    inner.copy_(torch.randn(last, generator=source, dtype=torch.float64) + 0.5)
    return inner.movedim(-1, 1) if len(shape) > 1 else inner


def wide(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if each is None else each.double() for each in tensors]


def close(found: Tensor, expected: Tensor, dtype: torch.dtype, least: float = 1.0) -> None:
    assert found.dtype == dtype
    scale = max(least, float(expected.abs().max()))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def same(found, expected, types) -> None:
    for one, other, dtype in zip(found, expected, types, strict=True):
        if one.numel():
            close(one, other, dtype)


@pytest.mark.parametrize(
    "flags", FLAGS, ids=lambda flags: " ".join(name for name in flags if flags[name]) or "plain"
)
@pytest.mark.parametrize(
    ("shape", "dtype"), [(SHAPES[0], torch.bfloat16), *((each, torch.float32) for each in SHAPES)]
)
def test_all_three_equal_float64(shape, dtype, flags):
    relu, more, affine = flags["relu"], flags["more"], flags["affine"]
    single = torch.float32
    large = [drawn(shape, dtype, seed) for seed in range(6)]
    small = [drawn((shape[1],), single, seed) for seed in range(6, 10)]
    images, residual, gradient, tapped, u, e = large
    weight, bias, a, c = small
    weight, bias = (weight, bias) if affine else (None, None)
    residual, tapped, e = (residual, tapped if relu else None, e) if more else (None, None, None)

    found = form.forward(images, weight, bias, residual, 1e-5, relu, more)
    expected = closed_form.forward(*wide(images, weight, bias, residual), 1e-5, relu)
    same(found, expected, (dtype, dtype, single, single))
    assert found[1].numel() == (images.numel() if relu and more else 0)

    output = found[0] if relu else None
    given = gradient, tapped, images, weight, output, found[2], found[3]
    ours = form.backward(*given, 1e-5, more)
    same(ours, closed_form.backward(*wide(*given), 1e-5), (dtype, dtype, single, single))
    assert ours[1].numel() == (images.numel() if more else 0)

    tangents = u, e, a if more else None, c if affine else None
    wants = tapped is not None
    ours = form.twice_backward(*tangents, *given, 1e-5, wants)
    expected = closed_form.twice_backward(*wide(*tangents, *given), 1e-5)
    same(ours, expected, (dtype, dtype, dtype, single))
    for tensor in (found[0], ours[0], ours[2]):
        assert tensor.stride() == torch.empty_like(images).stride()


def test_gradients_that_are_missing_are_zero():
    shape = (3, 5, 4, 3)
    images, tapped, e = (drawn(shape, torch.float32, seed) for seed in range(3))
    output, _, mean, variance = form.forward(images, None, None, None, 1e-5, True, False)
    given = None, tapped, images, None, output, mean, variance
    same(form.backward(*given, 1e-5, True), closed_form.backward(*wide(*given), 1e-5), [torch.float32] * 4)
    tangents = None, e, None, None
    ours = form.twice_backward(*tangents, *given, 1e-5, True)
    same(ours, closed_form.twice_backward(*wide(*tangents, *given), 1e-5), [torch.float32] * 4)


def test_many_parts_change_nothing_and_repeat_to_the_bit():
    shape = (5, 20, 31, 29)
    assert parts_of(5 * 31 * 29, 20).parts > 8
    images = drawn(shape, torch.float32, 1)
    first, again = (form.forward(images, None, None, None, 1e-5, True, False) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    expected = closed_form.forward(*wide(images, None, None, None), 1e-5, True)
    same([first[0], *first[2:]], [expected[0], *expected[2:]], [torch.float32] * 3)


def test_large_means_cost_no_accuracy():
    images = drawn((8, 3, 9, 9), torch.float32, 1) + 1000
    _, _, mean, variance = form.forward(images, None, None, None, 1e-5, False, False)
    exact = torch.var_mean(images.double(), (0, 2, 3), correction=0)
    torch.testing.assert_close(variance.double(), exact[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(mean.double(), exact[1], rtol=1e-6, atol=0)


def test_what_is_not_a_number_stays_visible_in_its_channel():
    images = drawn((3, 5, 4, 3), torch.float32, 1)
    images[1, 2, 0, 0] = float("nan")
    output, *_ = form.forward(images, None, None, None, 1e-5, True, False)
    assert output[:, 2].isnan().all()
    assert not output[:, [0, 1, 3, 4]].isnan().any()


def test_running_statistics_follow_as_torchs():
    mean, variance, batch_mean, batch_variance = (
        drawn((300,), torch.float32, seed).abs() for seed in range(4)
    )
    expected = torch.lerp(mean.double(), batch_mean.double(), 0.1)
    expected_variance = torch.lerp(variance.double(), batch_variance.double() * (12 / 11), 0.1)
    form.follow(mean, variance, batch_mean, batch_variance, 0.1, 12)
    torch.testing.assert_close(mean.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance.double(), expected_variance, rtol=1e-6, atol=1e-6)


def penalised(images: Tensor, weight: Tensor, bias: Tensor, residual: Tensor) -> tuple[Tensor, ...]:
    """The gradients of a loss on output, tap and input gradient."""
    images = images.detach().requires_grad_()
    output, before = batch_norm(images, weight, bias, residual=residual, relu=True, tapped=True)
    (slope,) = torch.autograd.grad(output.sin().sum(), images, create_graph=True)
    loss = output.sum() + before.cos().sum() + slope.square().sum()
    return torch.autograd.grad(loss, (images, weight, bias, residual))


def test_a_penalty_on_the_input_gradient_runs_through_these(monkeypatch):
    shape = (3, 5, 4, 3)
    given = [drawn(size, torch.float32, 3).detach() for size in (shape, (5,), (5,), shape)]
    expected = penalised(*(each.double().requires_grad_() for each in given))
    called = []

    def ours(compute, plain, images, tensors, rest):
        # What is found the first time is compared with torch's form.
        found = forms._compared(compute, plain, images, tensors, rest, may_try=True)
        called.append(compute)
        return found

    monkeypatch.setattr(forms, "_first_that_can", ours)
    found = penalised(*(each.clone().requires_grad_() for each in given))
    assert len(called) == 4
    assert not forms._refusal().happened
    assert len(forms._refusal().agreed) == 4
    for one, truth in zip(found, expected, strict=True):
        close(one, truth, torch.float32)
