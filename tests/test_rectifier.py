"""The ReLU of stacks: torch's own, to the bit, with a second derivative of one launch."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from activmask.kernels.rectifier import relu
from activmask.models.stacked.seed_wise import SeedWise
from benchmarks.launches import counted

VALUES = torch.tensor([[-1.0, 0.0, 2.0], [float("nan"), -0.0, 3.0]])


def derivatives(form, values):
    """Its value, its gradient, and the gradient of that one's square in both."""
    own = values.clone().requires_grad_()
    slope = torch.ones_like(values).requires_grad_()
    output = form(own)
    [first] = torch.autograd.grad(output, own, slope, create_graph=True)
    second = torch.autograd.grad(first.square().sum(), [own, slope], allow_unused=True)
    return output, first, *(torch.zeros_like(values) if each is None else each for each in second)


def test_value_and_derivatives_are_those_of_torch():
    for ours, theirs in zip(derivatives(relu, VALUES), derivatives(torch.relu, VALUES), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_it_is_differentiable_again_and_again():
    values = torch.tensor([-2.0, -0.5, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: relu(x).sin(), values)
    assert gradgradcheck(lambda x: relu(x).sin(), values)


@pytest.mark.parametrize(("form", "fills"), [(torch.relu, True), (relu, False)])
def test_no_memory_is_filled_with_zeros_for_its_second_derivative(form, fills):
    own = torch.ones(3, requires_grad=True)

    def twice():
        [first] = torch.autograd.grad(form(own).square().sum(), own, create_graph=True)
        first.square().sum().backward()

    assert ("zeros_like" in counted(twice).calls) == fills


@pytest.mark.parametrize("form", [torch.relu, torch.nn.functional.relu, torch.nn.ReLU()])
def test_in_a_stack_every_relu_out_of_place_is_it(form):
    values = torch.randn(2, 6, 3, 3, requires_grad=True)
    with SeedWise(3):
        found = form(values)
    assert "relu_default" in type(found.grad_fn).__name__
    assert torch.equal(found, torch.relu(values))


def test_in_place_it_stays_in_place():
    values = torch.randn(2, 6, 3, 3)
    with SeedWise(3):
        assert torch.nn.ReLU(inplace=True)(values) is values
