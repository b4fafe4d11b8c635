from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from compiled_steps import skip_where_torch_cannot
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from activmask.kernels.convolution import activated_conv2d, conv2d, forms, operators

Convolution = Callable[..., Tensor]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}

GEOMETRIES = {
    "3x3": ((3, 3), {"padding": (1, 1)}),
    "1x1": ((1, 1), {}),
    "stride that leaves a rest": ((3, 3), {"stride": (2, 2), "padding": (1, 1)}),
    "uneven": ((2, 3), {"stride": (1, 2), "padding": (1, 0), "dilation": (2, 1)}),
    "two groups": ((3, 3), {"padding": (1, 1), "groups": 2}),
    "depthwise": ((3, 3), {"stride": (2, 1), "padding": (2, 2), "dilation": (2, 2), "groups": 4}),
}


def operands(
    kernel: tuple[int, int], groups: int = 1, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    """Images (2, 4, 6, 5), a weight for 4 outputs and a bias, all requiring gradients."""
    source = torch.Generator().manual_seed(seed)
    shapes = [(2, 4, 6, 5), (4, 4 // groups, *kernel), (4,)]
    drawn = [torch.randn(shape, dtype=torch.float64, generator=source).to(dtype) for shape in shapes]
    images, weight, bias = (value.requires_grad_() for value in drawn)
    return images, weight, bias


def flat(geometry: dict) -> tuple:
    """The geometry as the operators take it."""
    unit = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | geometry
    return tuple(list(value) if isinstance(value, tuple) else value for value in unit.values())


def three_orders(convolve: Convolution, kernel: tuple[int, int], geometry: dict, seed: int) -> list[Tensor]:
    """A convolution and its derivatives of the first three orders, each squeezed through a curve."""
    inputs = operands(kernel, geometry.get("groups", 1), seed)
    output = convolve(*inputs, **geometry)
    found, value = [output], output.sin().sum()
    for _ in range(3):
        gradients = torch.autograd.grad(value, inputs, create_graph=True)
        found += gradients
        value = sum((gradient.sin() * gradient).sum() for gradient in gradients)
    return [tensor.detach() for tensor in found]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_value_and_three_orders_equal_torchs(name):
    expected = three_orders(F.conv2d, *GEOMETRIES[name], seed=0)
    found = three_orders(conv2d, *GEOMETRIES[name], seed=0)
    assert torch.equal(found[0], expected[0])
    for one, other in zip(found, expected, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
def test_any_geometry_equals_torchs(kernel, stride, padding, dilation, groups, seed):
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected, found = (three_orders(form, kernel, geometry, seed) for form in (F.conv2d, conv2d))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7 * float(other.abs().max()))


@pytest.mark.parametrize("name", ["uneven", "two groups"])
def test_derivatives_equal_finite_differences(name):
    kernel, geometry = GEOMETRIES[name]

    def convolve(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv2d(images, weight, bias, **geometry)

    images, weight, bias = operands(kernel, geometry.get("groups", 1))
    small = images.detach()[:1, :, :4, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(convolve, (small, weight, bias))
    assert torch.autograd.gradgradcheck(convolve, (small, weight, bias))


# The check looks at the gradients of tensors that are not leaves, and torch warns of it.
@pytest.mark.process
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["3x3", "depthwise"])
def test_operators_keep_torchs_contract(name, layout):
    kernel, geometry = GEOMETRIES[name]
    images, weight, bias = operands(kernel, geometry.get("groups", 1))
    laid = images.detach().contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
    gradient = conv2d(laid, weight, bias, **geometry).detach().requires_grad_()
    assert gradient.is_contiguous(memory_format=LAYOUTS[layout])
    rest = flat(geometry)
    opcheck(operators.conv2d, (laid, weight, bias, *rest))
    opcheck(operators.conv2d, (laid, weight, None, *rest))
    opcheck(operators.data_gradient, (gradient, weight, list(images.shape), *rest))
    opcheck(operators.weight_gradient, (laid, gradient, list(weight.shape), *rest))


def test_channels_last_of_images_or_weight_is_kept_through_both_orders():
    for which in (0, 1):
        images, weight, _ = operands((3, 3))
        pair = [images.detach(), weight.detach()]
        pair[which] = pair[which].contiguous(memory_format=torch.channels_last)
        images, weight = (tensor.requires_grad_() for tensor in pair)
        output = conv2d(images, weight, padding=(1, 1))
        (slope,) = torch.autograd.grad(output.square().sum(), images, create_graph=True)
        for tensor in (output, slope):
            assert tensor.is_contiguous(memory_format=torch.channels_last)
            assert not tensor.is_contiguous()
        for gradient in torch.autograd.grad(slope.square().sum(), (images, weight)):
            assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_gradients_that_repeat_one_value_in_memory_are_taken():
    # The sum's gradient is one number expanded to the output's shape.
    images, weight, _ = operands((3, 3))
    found = torch.autograd.grad(conv2d(images, weight).sum(), (images, weight))
    for one, other in zip(
        found, torch.autograd.grad(F.conv2d(images, weight).sum(), (images, weight)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_only_what_requires_gradients_gets_them():
    images, weight, bias = operands((3, 3))
    conv2d(images.detach(), weight.detach(), bias).sum().backward()
    assert images.grad is None
    assert weight.grad is None
    # 2 images of 4 x 3 positions.
    assert bias.grad.tolist() == [24.0] * 4
    with torch.inference_mode():
        assert torch.equal(conv2d(images, weight, bias), F.conv2d(images, weight, bias))


def test_tensors_without_values_have_shapes():
    images, weight, bias = (tensor.to("meta") for tensor in operands((3, 3)))
    assert conv2d(images, weight, bias, stride=(2, 1)).shape == (2, 4, 2, 3)


def activated(tapped: bool) -> Callable[..., tuple[Tensor, ...]]:
    """Both results of the operator; without a tap the second is empty, and left out."""

    def run(images: Tensor, weight: Tensor, bias: Tensor | None, **geometry: object) -> tuple[Tensor, ...]:
        found = activated_conv2d(images, weight, bias, tapped=tapped, **geometry)
        assert tapped or not found[1].numel()
        return found if tapped else found[:1]

    return run


def by_torch(tapped: bool) -> Callable[..., tuple[Tensor, ...]]:
    def run(images: Tensor, weight: Tensor, bias: Tensor | None, **geometry: object) -> tuple[Tensor, ...]:
        before = F.conv2d(images, weight, bias, **geometry)
        return (before.relu(), before) if tapped else (before.relu(),)

    return run


@pytest.mark.parametrize("tapped", [True, False])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", ["uneven", "two groups"])
def test_with_its_relu_value_and_two_orders_equal_torchs(name, biased, tapped):
    kernel, geometry = GEOMETRIES[name]
    results = []
    for form in (activated(tapped), by_torch(tapped)):
        images, weight, bias = operands(kernel, geometry.get("groups", 1))
        given = [images, weight, *([bias] if biased else [])]
        outputs = form(images, weight, bias if biased else None, **geometry)
        loss = sum((k + 1) * output.pow(3).sum() for k, output in enumerate(outputs))
        slopes = torch.autograd.grad(loss, given, create_graph=True)
        seconds = torch.autograd.grad(sum(slope.square().sum() for slope in slopes), given)
        results.append([*outputs, *slopes, *seconds])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=1e-9, atol=1e-9 * float(expected.detach().abs().max())
        )


@pytest.mark.parametrize("which", [0, 1])
def test_with_its_relu_a_gradient_may_reach_either_result_alone(which):
    results = []
    for form in (activated(True), by_torch(True)):
        given = operands((3, 3))
        results.append(torch.autograd.grad(form(*given)[which].square().sum(), given))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_with_its_relu_only_what_requires_gradients_gets_them(monkeypatch):
    images, weight, bias = operands((3, 3))
    output, _ = activated_conv2d(images, weight, bias)
    asked = []
    plain = forms._plain_rectified
    monkeypatch.setattr(
        forms, "_plain_rectified", lambda *given, sums: asked.append(sums) or plain(*given, sums=sums)
    )
    torch.autograd.grad(output.sum(), images, retain_graph=True)
    torch.autograd.grad(output.sum(), bias)
    # The gradients of an image alone need no sums for a bias.
    assert asked == [False, True]


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_with_its_relu_the_operators_keep_torchs_contract(layout):
    kernel, geometry = GEOMETRIES["two groups"]
    images, weight, bias = operands(kernel, 2)
    laid = images.detach().contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
    rest = flat(geometry)
    for tapped in (True, False):
        opcheck(operators.conv2d_relu, (laid, weight, bias, *rest, tapped))
    output, before = (each.detach() for each in operators.conv2d_relu(laid, weight, bias, *rest, True))
    gradient, other = torch.randn_like(output).requires_grad_(), torch.randn_like(before).requires_grad_()
    for tap, sums in ((other, True), (None, True), (other, False)):
        opcheck(operators.rectified_gradient, (gradient, output, tap, sums))


class Counting(TorchDispatchMode):
    """Counts convolutions of either form by name, and those whose kernel is a feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.large_kernels = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        if "conv" in name:
            self.names.append(name)
            self.large_kernels += name == "aten::convolution" and args[1].shape[-1] > 3
        return function(*args, **(kwargs or {}))


LAYERS = 4


def penalty_gradients(convolve: Convolution, images: Tensor, weights: list[Tensor]) -> tuple[Tensor, ...]:
    """What gradmask does: the weights' gradients of a loss that holds an input gradient."""
    images = images.detach().requires_grad_()
    hidden = images
    for weight in weights:
        hidden = convolve(hidden, weight, padding=(1, 1)).relu()
    score = hidden.square().mean(dim=(2, 3)).sum()
    (slope,) = torch.autograd.grad(score, images, create_graph=True)
    return torch.autograd.grad(score + slope.square().sum(), weights)


def stack(dtype: torch.dtype = torch.float64) -> tuple[Tensor, list[Tensor]]:
    source = torch.Generator().manual_seed(0)
    widths = [1, *[4] * LAYERS]
    weights = [
        (torch.randn((b, a, 3, 3), dtype=dtype, generator=source) / 3).requires_grad_()
        for a, b in pairwise(widths)
    ]
    return torch.randn((2, 1, 8, 8), dtype=dtype, generator=source), weights


def test_a_penalised_step_costs_six_convolutions_a_layer():
    with Counting() as counted:
        penalty_gradients(conv2d, *stack())
    count = counted.names.count
    assert count("activmask::conv2d") == 2 * LAYERS
    # Once for the penalty and once for the loss, which does not ask for the images' gradient.
    assert count("activmask::conv2d_data_gradient") == 2 * LAYERS - 1
    assert count("activmask::conv2d_weight_gradient") == 2 * LAYERS
    assert len(counted.names) == 6 * LAYERS - 1
    assert counted.large_kernels == 0


def test_torchs_own_step_convolves_with_feature_maps_so_the_test_above_can_fail():
    with Counting() as counted:
        penalty_gradients(F.conv2d, *stack())
    assert counted.large_kernels == LAYERS


def test_single_precision_is_near_double():
    expected = penalty_gradients(F.conv2d, *stack())
    images, weights = stack()
    single = [weight.detach().float().requires_grad_() for weight in weights]
    for one, other in zip(penalty_gradients(conv2d, images.float(), single), expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_its_type_and_returns_gradients_in_the_weights(dtype):
    images, weights = stack(torch.float32)
    bias = torch.zeros(4)
    with torch.autocast("cpu", dtype=dtype):
        assert conv2d(images, weights[0], bias).dtype == dtype
        assert torch.equal(conv2d(images, weights[0], bias), F.conv2d(images, weights[0], bias))
        found, expected = (penalty_gradients(form, images, weights) for form in (conv2d, F.conv2d))
    exact = penalty_gradients(F.conv2d, *stack())
    for one, other, truth in zip(found, expected, exact, strict=True):
        assert one.dtype == torch.float32
        scale = truth.abs().max()
        error, torchs = ((value.double() - truth).abs().max() / scale for value in (one, other))
        assert float(error) < max(2 * float(torchs), 0.02)


@pytest.mark.process
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_equals_the_eager_one(backend):
    skip_where_torch_cannot()
    images, weights = stack()
    expected = penalty_gradients(F.conv2d, images, weights)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        step = torch.compile(
            lambda images, weights: penalty_gradients(conv2d, images, weights),
            backend=backend,
            fullgraph=True,
        )
        found = step(images, weights)
    torch._dynamo.reset()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
