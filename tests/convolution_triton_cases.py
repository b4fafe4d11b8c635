"""What the Triton form of the convolution must do, run by `test_convolution_triton.py`."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from activmask.kernels.convolution import conv2d, forms, reference, tiles, triton_sums
from activmask.kernels.convolution import triton as form

pytestmark = pytest.mark.process  # Triton compiles by other programs.

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
TYPES = {"bf16": torch.bfloat16, "tf32": torch.float32, "ieee": torch.float32}
# Of the largest value: products round to 8, 11 and 24 bits, and results to the type of the tensors.
TOLERANCE = {"bf16": 2**-7, "tf32": 2**-8 if CUDA else 1e-6, "ieee": 1e-6}
GUARD = 4096


@dataclass(frozen=True)
class Case:
    """B images of R networks, C channels in and D out, H x W pixels."""

    batch: int = 2
    networks: int = 2
    inside: int = 3
    outside: int = 5
    size: tuple[int, int] = (7, 6)
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)

    @property
    def geometry(self) -> tuple:
        return self.stride, self.padding, (1, 1), self.networks


CASES = {
    "few channels": Case(),
    "many channels": Case(inside=17, outside=20),
    "several tiles": Case(batch=3, networks=1, inside=70, outside=40, size=(6, 5), kernel=(2, 2)),
    "one of everything": Case(batch=1, networks=1, inside=1, outside=1, size=(1, 1)),
    "one channel": Case(batch=1, inside=1, outside=4, size=(9, 8), kernel=(5, 5), padding=(2, 2)),
    "stem": Case(inside=1, outside=16, size=(9, 9), kernel=(7, 7), stride=(2, 2), padding=(3, 3)),
    "stride that leaves a rest": Case(inside=16, outside=18, stride=(2, 2)),
    "even kernel": Case(inside=16, outside=16, kernel=(2, 4), padding=(1, 2)),
    "shortcut": Case(inside=16, outside=32, kernel=(1, 1), stride=(2, 2), padding=(0, 0)),
    "head": Case(networks=1, inside=20, outside=1, kernel=(1, 1), padding=(0, 0)),
    "uneven": Case(inside=4, outside=18, stride=(2, 1), padding=(0, 1)),
    "many channels out": Case(inside=17, outside=50, size=(4, 3), kernel=(1, 2), padding=(0, 1)),
    "weight turned round": Case(inside=5, outside=32, size=(5, 4), kernel=(2, 3), stride=(2, 1)),
    "stride above the kernel": Case(inside=16, outside=3, kernel=(2, 1), stride=(3, 2), padding=(0, 0)),
    "no pixels of a phase": Case(inside=16, outside=2, size=(1, 4), stride=(2, 2)),
}  # fmt: skip


def guarded(size, dtype: torch.dtype) -> Tensor:
    """Memory in channels-last order, all NaN, in the middle of more NaN."""
    count = int(np.prod(size))
    memory = torch.full((count + 2 * GUARD,), float("nan"), dtype=dtype, device=DEVICE)
    strides = torch.empty(size, device="meta", memory_format=torch.channels_last).stride()
    return memory.as_strided(size, strides, GUARD)


def in_guard(values: Tensor) -> Tensor:
    return guarded(values.shape, values.dtype).copy_(values)


def is_intact(tensor: Tensor) -> bool:
    """Whether nothing was written beside a guarded tensor."""
    memory = tensor.as_strided((tensor.numel() + 2 * GUARD,), (1,), 0)
    return bool(memory[:GUARD].isnan().all()) and bool(memory[-GUARD:].isnan().all())


@pytest.fixture(autouse=True)
def everything_in_guards(monkeypatch):
    monkeypatch.setattr(form, "_new", lambda size, like: guarded(size, like.dtype))


@pytest.fixture(autouse=True)
def products_of_bfloat16(monkeypatch):
    """Triton's interpreter keeps them as 16-bit integers, and would multiply those."""
    if CUDA:
        return
    from triton import language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    def widened(tile):
        if tile.data.dtype != np.uint16:
            return tile
        bits = tile.data.astype(np.uint32) << 16
        return type(tile)(bits.view(np.float32), tl.float32)

    plain = InterpreterBuilder.create_dot
    monkeypatch.setattr(
        InterpreterBuilder,
        "create_dot",
        lambda self, a, b, *rest: plain(self, widened(a), widened(b), *rest),
    )


def drawn(case: Case, precision: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, weight, bias and a gradient in the output."""
    source = torch.Generator().manual_seed(1)

    def values(*size: int) -> Tensor:
        return torch.randn(size, generator=source, dtype=torch.float64).to(DEVICE, TYPES[precision])

    images = values(case.batch, case.networks * case.inside, *case.size)
    weight = values(case.networks * case.outside, case.inside, *case.kernel)
    bias = values(case.networks * case.outside)
    shape = reference.conv2d(images, weight, bias, *case.geometry).shape
    return in_guard(images), in_guard(weight), bias, in_guard(values(*shape))


def close(found: Tensor, expected: Tensor, precision: str) -> None:
    assert is_intact(found)
    assert found.dtype == TYPES[precision]
    largest = float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=TOLERANCE[precision] * largest)


def check(case: Case, precision: str) -> None:
    """All three against the reference in double precision."""
    images, weight, bias, gradient = drawn(case, precision)
    wide = [each.double() for each in (images, weight, bias, gradient)]
    how = case.stride, case.padding, case.networks, precision
    found = form.conv2d(images, weight, bias, *how)
    close(found, reference.conv2d(*wide[:3], *case.geometry), precision)
    before = reference.conv2d(*wide[:3], *case.geometry)
    for tapped in (True, False):
        activated, kept = form.conv2d_relu(images, weight, bias, *how, tapped)
        close(activated, before.relu(), precision)
        if tapped:
            close(kept, before, precision)
        assert tapped == bool(kept.numel())
    found = form.data_gradient(gradient, weight, images.shape, *how)
    close(found, reference.data_gradient(wide[3], wide[1], images.shape, *case.geometry), precision)
    found = form.weight_gradient(images, gradient, weight.shape, *how)
    close(found, reference.weight_gradient(wide[0], wide[3], weight.shape, *case.geometry), precision)


@pytest.mark.parametrize("name", CASES)
def test_all_three_equal_float64(name):
    check(CASES[name], "ieee")


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
@pytest.mark.parametrize(
    "name",
    [
        *("few channels", "many channels", "stem", "stride that leaves a rest", "many channels out"),
        "weight turned round",
    ],
)
def test_other_products_equal_float64_as_far_as_they_round(name, precision):
    check(CASES[name], precision)


@pytest.mark.parametrize("precision", ["bf16", "ieee"])
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (3, 5, 7, 6), (2, 70, 9, 11), (21, 17, 20, 20)])
def test_the_gradient_in_a_bias_is_a_sum_over_all_positions(size, precision):
    source = torch.Generator().manual_seed(2)
    gradient = in_guard(torch.randn(size, generator=source).to(DEVICE, TYPES[precision]))
    found = triton_sums.bias_gradient(gradient)
    assert found.dtype == gradient.dtype
    expected = gradient.double().sum((0, 2, 3))
    largest = float(gradient.double().abs().sum((0, 2, 3)).max())
    torch.testing.assert_close(found.double(), expected, rtol=2**-7, atol=1e-6 * largest)


@pytest.mark.parametrize(("tapped", "sums"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("precision", ["bf16", "ieee"])
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (3, 5, 7, 6), (2, 70, 9, 11), (21, 17, 20, 20)])
def test_the_gradient_before_a_relu_is_cut_off_joined_and_added_up(size, precision, tapped, sums):
    source = torch.Generator().manual_seed(4)
    gradient, seen, other = (
        in_guard(torch.randn(size, generator=source).to(DEVICE, TYPES[precision])) for _ in range(3)
    )
    found, total = triton_sums.rectified_gradient(gradient, seen.relu(), other if tapped else None, sums)
    expected = torch.where(seen > 0, gradient, 0) + (other if tapped else 0)
    # The interpreter cuts off what bfloat16 has no room for, where a device rounds.
    torch.testing.assert_close(found, expected, rtol=2**-7 if precision == "bf16" else 0, atol=0)
    assert found.stride() == gradient.stride()
    assert total.shape == (size[1] if sums else 0,)
    if sums:
        exact = found.double().sum((0, 2, 3))
        largest = float(found.double().abs().sum((0, 2, 3)).max())
        torch.testing.assert_close(total.double(), exact, rtol=2**-7, atol=1e-6 * largest)


def test_the_gradient_before_a_relu_passes_what_is_no_number_as_torchs_does():
    gradient, seen = (in_guard(torch.ones(2, 3, 4, 4, device=DEVICE)) for _ in range(2))
    seen[0, 1, 2, 3] = gradient[1, 2, 0, 0] = float("nan")
    seen[1, 1, 1, 1] = -0.0
    found, sums = triton_sums.rectified_gradient(gradient, seen, None, True)
    expected = torch.ops.aten.threshold_backward(gradient, seen, 0)
    assert torch.equal(found.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert sums.isnan().tolist() == [False, False, True]


def test_a_weight_may_lie_in_any_order():
    case = Case(networks=1, inside=16, outside=2, size=(3, 4))
    images, weight, bias, gradient = drawn(case, "ieee")
    how = case.stride, case.padding, case.networks, "ieee"
    for order in (weight.contiguous(), weight.permute(1, 0, 3, 2).contiguous().permute(1, 0, 3, 2)):
        assert torch.equal(form.conv2d(images, order, bias, *how), form.conv2d(images, weight, bias, *how))
        assert torch.equal(
            form.data_gradient(gradient, order, images.shape, *how),
            form.data_gradient(gradient, weight, images.shape, *how),
        )


def test_positions_in_parts_add_up_to_the_same_bits_each_time():
    case = Case(batch=3, networks=1, inside=16, outside=16, size=(10, 9))
    images, weight, _, gradient = drawn(case, "ieee")
    planned = tiles.weight_tiles(270, 16, 16, 9, 1, "ieee")
    assert planned.splits > 2
    assert (
        planned.positions_per_split * (planned.splits - 1)
        < 270
        < planned.positions_per_split * planned.splits
    )
    how = weight.shape, case.stride, case.padding, 1, "ieee"
    first, again = (form.weight_gradient(images, gradient, *how) for _ in range(2))
    assert torch.equal(first, again)
    close(
        first,
        reference.weight_gradient(images.double(), gradient.double(), weight.shape, *case.geometry),
        "ieee",
    )


def test_not_a_number_stays_where_it_reaches():
    case = Case(networks=2, inside=3, outside=2)
    images, weight, bias, _ = drawn(case, "ieee")
    images[1, 1, 0, 0] = float("nan")
    found = form.conv2d(images, weight, bias, case.stride, case.padding, 2, "ieee")
    # The first network's channels of the second image, in reach of its first pixel.
    expected = torch.zeros_like(found, dtype=torch.bool)
    expected[1, :2, :2, :2] = True
    assert torch.equal(found.isnan(), expected)
    how = case.stride, case.padding, 2, "ieee"
    assert torch.equal(form.conv2d_relu(images, weight, bias, *how, False)[0].isnan(), expected)


def test_networks_side_by_side_have_the_numbers_of_each_alone():
    case = Case(inside=17, outside=20, size=(3, 4))
    images, weight, bias, _ = drawn(case, "ieee")
    together = form.conv2d(images, weight, bias, case.stride, case.padding, 2, "ieee")
    for k in range(2):
        own = in_guard(images[:, k * 17 : (k + 1) * 17])
        part = slice(k * 20, (k + 1) * 20)
        alone = form.conv2d(own, weight[part], bias[part], case.stride, case.padding, 1, "ieee")
        assert torch.equal(together[:, part], alone)


def penalised(convolve, images: Tensor, weights: list[Tensor]) -> tuple[Tensor, ...]:
    """What gradmask does with two stacked networks: the gradients of a loss that holds an input gradient."""
    images = images.detach().requires_grad_()
    hidden = convolve(images, weights[0], padding=(1, 1), groups=2).tanh()
    hidden = convolve(hidden, weights[1], stride=(2, 2), padding=(1, 1), groups=2).tanh()
    (slope,) = torch.autograd.grad(hidden.sum(), images, create_graph=True)
    return torch.autograd.grad(hidden.sum() + slope.square().sum(), weights)


def test_a_penalty_on_the_input_gradient_is_made_of_the_same_three(monkeypatch):
    names = []

    def ours(name, first, second, third, stride, padding, dilation, groups):
        names.append(name)
        how = {"stride": stride, "padding": padding, "groups": groups}
        return forms._ours(name, first, second, third, **how, precision="ieee")

    source = torch.Generator().manual_seed(2)
    shapes = (2, 2, 5, 4), (8, 1, 3, 3), (6, 4, 3, 3)
    images, *weights = (torch.randn(shape, generator=source).to(DEVICE) for shape in shapes)
    images = images.contiguous(memory_format=torch.channels_last)
    weights = [each.requires_grad_() for each in weights]
    expected = penalised(
        torch.nn.functional.conv2d,
        images.double(),
        [each.detach().double().requires_grad_() for each in weights],
    )
    monkeypatch.setattr(forms, "_computed", ours)
    for found, truth in zip(penalised(conv2d, images, weights), expected, strict=True):
        torch.testing.assert_close(found.double(), truth, rtol=0, atol=1e-5 * float(truth.abs().max()))
    assert set(names) == {"conv2d", "data_gradient", "weight_gradient"}
    # Each of two layers twice of each, but the images' own gradient once.
    assert len(names) == 11


@pytest.mark.cuda
@pytest.mark.skipif(not CUDA, reason="no CUDA here")
def test_on_a_device_a_shape_is_tried_once_and_either_form_gives_its_numbers(monkeypatch, tmp_path):
    from activmask.kernels.convolution import choice

    case = Case(batch=8, inside=32, outside=32, size=(14, 14))
    images, weight, bias, _ = drawn(case, "bf16")
    expected = reference.conv2d(images.double(), weight.double(), bias.double(), *case.geometry)
    found = {}
    for name in choice.FORMS:
        environment = {"ACTIVMASK_CACHE": str(tmp_path), choice.VARIABLE: name}
        own = choice.new_choices("here", environment)
        monkeypatch.setattr(forms, "choices_of", lambda _, own=own: own)
        found[name] = conv2d(images, weight, bias, padding=(1, 1), groups=2)
        close_enough = TOLERANCE["bf16"] * float(expected.abs().max())
        torch.testing.assert_close(found[name].double(), expected, rtol=0, atol=close_enough)
        assert not own.told
    assert (tmp_path / choice.FILE).is_file()
