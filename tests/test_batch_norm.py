"""Batch normalisation with addition and ReLU, against numbers worked out by hand and torch's own."""

from itertools import product

import pytest
import torch
from compiled_steps import skip_where_torch_cannot
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck

from activmask.kernels.batch_norm import batch_norm, closed_form, operators, reference

FORMS = [
    {"relu": relu, "tapped": tapped, "residual": residual, "affine": affine}
    for relu, tapped, residual, affine in product((False, True), repeat=4)
]
SHAPES = [(3, 2, 2, 3), (2, 1, 5, 1), (5, 4), (2, 3, 4)]


def operands(shape=(3, 2, 2, 3), dtype=torch.float64, residual=True, affine=True) -> list[Tensor | None]:
    """Images, weight, bias, and what is added."""
    source = torch.Generator().manual_seed(3)

    def drawn(size, wanted=True):
        values = torch.randn(size, generator=source, dtype=torch.float64).to(dtype)
        return values.requires_grad_() if wanted else None

    channels = (shape[1],)
    return [drawn(shape), drawn(channels, affine), drawn(channels, affine), drawn(shape, residual)]


def as_torch(images, weight, bias, added, relu) -> tuple[Tensor, Tensor]:
    return reference.batch_norm(images, weight, bias, None, None, True, 0.1, 1e-5, added, relu)


def ours(images, weight, bias, added, relu, tapped) -> tuple[Tensor, Tensor]:
    return batch_norm(images, weight, bias, residual=added, relu=relu, tapped=tapped)


def test_four_values_by_hand():
    # Mean 3 and variance 4 (biased), so that 1, 1, 5, 5 become -1, -1, 1, 1.
    images = torch.tensor([1.0, 1.0, 5.0, 5.0]).view(2, 1, 1, 2)
    weight, bias = torch.tensor([2.0]), torch.tensor([0.5])
    output, none = batch_norm(images, weight, bias, epsilon=0.0)
    assert output.flatten().tolist() == [-1.5, -1.5, 2.5, 2.5]
    assert none is output
    added = torch.tensor([2.0, -1.0, 0.0, -3.0]).view_as(images)
    output, before = batch_norm(images, weight, bias, epsilon=0.0, residual=added, relu=True, tapped=True)
    assert before.flatten().tolist() == [0.5, -2.5, 2.5, -0.5]
    assert output.flatten().tolist() == [0.5, 0.0, 2.5, 0.0]
    assert batch_norm(images, weight, bias, relu=True)[1].numel() == 0


def test_gradients_by_hand():
    images = torch.tensor([1.0, 1.0, 5.0, 5.0], dtype=torch.float64).view(2, 1, 1, 2).requires_grad_()
    weight = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    bias = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    output, _ = batch_norm(images, weight, bias, epsilon=0.0, relu=True)
    # Of the last value alone: h = 0 0 0 1, h̄ = 1/4, q = mean(h z) = 1/4, w r = 1.
    to_images, to_weight, to_bias = torch.autograd.grad(output.flatten()[3], (images, weight, bias))
    assert to_images.flatten().tolist() == [0.0, 0.0, -0.5, 0.5]
    assert (to_weight.item(), to_bias.item()) == (1.0, 1.0)


def test_running_statistics_by_hand():
    images = torch.tensor([1.0, 1.0, 5.0, 5.0]).view(2, 1, 1, 2)
    mean, variance = torch.tensor([1.0]), torch.tensor([4 / 3])
    batch_norm(images, running_mean=mean, running_variance=variance, momentum=0.25)
    # The unbiased variance is 16 / 3.
    torch.testing.assert_close((mean.item(), variance.item()), (1.5, 4 / 3 + 0.25 * 4))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", FORMS)
def test_value_and_two_orders_equal_torchs(form, shape):
    relu, tapped = form["relu"], form["tapped"]
    given = operands(shape, residual=form["residual"], affine=form["affine"])
    inputs = [each for each in given if each is not None]
    results = []
    for output, before in (as_torch(*given, relu), ours(*given, relu, tapped)):
        value = output.sin().sum() + (2 * before.cos().sum() if tapped else 0)
        first = torch.autograd.grad(value, inputs, create_graph=True)
        second = torch.autograd.grad(sum((slope.sin() * slope).sum() for slope in first), inputs)
        results.append([each.detach() for each in (output, *([before] if tapped else []), *first, *second)])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_the_formulas_are_the_derivatives(form):
    given = operands(residual=form["residual"], affine=form["affine"])
    inputs = [each for each in given if each is not None]

    def value(*some: Tensor) -> tuple[Tensor, ...]:
        left = iter(some)
        filled = [None if each is None else next(left) for each in given]
        output, before = ours(*filled, form["relu"], form["tapped"])
        return (output, before) if form["relu"] and form["tapped"] else (output,)

    assert gradcheck(value, inputs)
    assert gradgradcheck(value, inputs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_half_precision_is_as_near_as_torchs_and_keeps_its_layout(layout):
    given = [each.detach() for each in operands((4, 3, 5, 6))]
    images, added = (given[k].bfloat16().contiguous(memory_format=layout) for k in (0, 3))
    weight, bias = given[1].float(), given[2].float()
    exact = as_torch(images.double(), weight.double(), bias.double(), added.double(), True)[0]
    output, _ = batch_norm(images, weight, bias, residual=added, relu=True)
    theirs, _ = as_torch(images, weight, bias, added, True)
    assert output.dtype == torch.bfloat16
    assert output.is_contiguous(memory_format=layout)
    error, torchs = (float((each.double() - exact).abs().max()) for each in (output, theirs))
    assert error <= torchs


def test_large_means_cost_no_accuracy():
    images = operands((8, 2, 9, 9), torch.float32)[0].detach() + 1000
    exact, _ = as_torch(images.double(), None, None, None, False)
    torch.testing.assert_close(batch_norm(images)[0].double(), exact, rtol=0, atol=2e-4)


def test_without_training_the_running_statistics_are_used_and_stay():
    images, weight, bias, added = operands()
    mean, variance = torch.tensor([0.5, -1.0]).double(), torch.tensor([2.0, 0.5]).double()
    running = mean.clone(), variance.clone()
    output, before = batch_norm(
        images, weight, bias, *running, training=False, residual=added, relu=True, tapped=True
    )
    expected = reference.batch_norm(images, weight, bias, mean, variance, False, 0.1, 1e-5, added, True)
    assert torch.equal(output, expected[0])
    assert torch.equal(before, expected[1])
    assert torch.equal(torch.stack(running), torch.stack((mean, variance)))


def test_only_what_requires_gradients_gets_them():
    images, weight, bias, added = operands()
    output, _ = batch_norm(images.detach(), weight, bias.detach(), residual=added.detach(), relu=True)
    output.sum().backward()
    assert weight.grad is not None
    assert images.grad is None
    assert bias.grad is None
    assert added.grad is None


def test_a_third_derivative_is_refused():
    images, *_ = operands()
    value = batch_norm(images, relu=True)[0].sin().sum()
    for _ in range(2):
        (slope,) = torch.autograd.grad(value, images, create_graph=True)
        value = slope.square().sum()
    with pytest.raises(NotImplementedError, match="twice"):
        value.backward()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": torch.ones(1, 3, 1, 1)}, "more than 1 value per channel"),
        ({"residual": torch.ones(2, 3, 4, 1)}, r"torch.float32 \(2, 3, 4, 4\) as the images are"),
        ({"residual": torch.ones(2, 3, 4, 4).double()}, r"found torch.float64 \(2, 3, 4, 4\)"),
        ({"running_mean": torch.ones(3)}, "or neither"),
        ({"training": False}, "a running mean and variance are needed"),
    ],
)
def test_what_does_not_fit_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        batch_norm(**{"images": torch.ones(2, 3, 4, 4), **given})


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_torch_accepts_the_operators():
    images, weight, bias, added = operands(dtype=torch.float32)
    opcheck(operators.batch_norm, (images, weight, bias, added, 1e-5, True, True))
    opcheck(operators.batch_norm, (images, None, None, None, 1e-5, False, True))
    output, _, mean, variance = closed_form.forward(images, weight, bias, added, 1e-5, True)
    given = (added, images, images, weight, output, mean, variance)
    detached = [each.detach().requires_grad_(k < 4) for k, each in enumerate(given)]
    opcheck(operators.backward, (*detached, 1e-5, True))
    plain = [each.detach() for each in given]
    opcheck(operators.twice_backward, (plain[0], None, plain[3], None, *plain, 1e-5, True))
    opcheck(operators.follow, (torch.zeros(2), torch.ones(2), torch.ones(2), torch.ones(2), 0.1, 9))


@pytest.mark.process
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_penalty_equals_the_eager_one(backend):
    skip_where_torch_cannot()

    def penalty(images, weight, bias, added):
        output, _ = batch_norm(images, weight, bias, residual=added, relu=True)
        (slope,) = torch.autograd.grad(output.sin().sum(), images, create_graph=True)
        return torch.autograd.grad(slope.square().sum() + output.sum(), (images, weight, bias, added))

    given = operands()
    expected = penalty(*given)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        found = torch.compile(penalty, backend=backend, fullgraph=True)(*given)
    torch._dynamo.reset()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
