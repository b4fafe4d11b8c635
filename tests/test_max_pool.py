"""Maxima of windows of 2 x 2 px, as torch has them, with derivatives of any order."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F
from triton_files import run_cases

from activmask.kernels.max_pool import max_pool
from activmask.models.stacked import seed_wise
from activmask.models.stacked.seed_wise import SeedWise


@pytest.mark.cuda
@pytest.mark.process
def test_the_triton_form_compiled_where_there_is_cuda_and_interpreted_elsewhere():
    pytest.importorskip("triton")
    run_cases(Path(__file__).with_name("max_pool_triton_cases.py"))


@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(2, 7), st.booleans())
def test_values_and_gradients_are_those_of_torch_where_several_values_are_highest(seed, high, wide, last):
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(-1, 2, (2, 3, high, wide), generator=source).float()
    images = images.contiguous(memory_format=torch.channels_last) if last else images
    slopes = torch.randn(2, 3, high // 2, wide // 2, generator=source)
    found = []
    for form in (max_pool, lambda maps: F.max_pool2d(maps, 2)):
        own = images.clone().requires_grad_()
        value = form(own)
        found.append((value.detach(), *torch.autograd.grad(value, own, slopes)))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
    layout = torch.channels_last if last else torch.contiguous_format
    assert all(each.is_contiguous(memory_format=layout) for each in found[0])


def test_what_is_no_number_is_a_maximum():
    images = torch.tensor([[[[1.0, torch.nan], [3.0, 2.0]]]])
    assert max_pool(images).isnan().all()


def test_it_is_differentiable_again_and_again():
    source = torch.Generator().manual_seed(0)
    # No two values are near each other, so that small steps change no maximum.
    images = torch.randperm(2 * 2 * 5 * 4, generator=source).double().view(2, 2, 5, 4).requires_grad_()
    assert gradcheck(lambda maps: max_pool(maps).sin(), images)
    assert gradgradcheck(lambda maps: max_pool(maps).sin(), images)


def test_operators_without_values_have_the_shapes_and_strides_of_those_with():
    for last in (False, True):
        images = torch.randn(2, 3, 6, 4)
        images = images.contiguous(memory_format=torch.channels_last) if last else images
        bare = images.to("meta")
        real, empty = max_pool(images), max_pool(bare)
        assert (real.shape, real.stride()) == (empty.shape, empty.stride())
        for name, first in (("max_pool_spread", (real, empty)), ("max_pool_gather", (images, bare))):
            form = getattr(torch.ops.activmask, name)
            one, other = form(first[0], images), form(first[1], bare)
            assert (one.shape, one.stride()) == (other.shape, other.stride())


@pytest.mark.parametrize(
    ("how", "by_ours"),
    [
        ({"kernel_size": 2}, True),
        ({"kernel_size": (2, 2), "stride": 2}, True),
        ({"kernel_size": 2, "stride": 1}, False),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, False),
        ({"kernel_size": 2, "padding": 1}, False),
        ({"kernel_size": 2, "ceil_mode": True}, False),
        ({"kernel_size": 2, "dilation": 2}, False),
    ],
)
def test_in_a_stack_windows_of_2_x_2_are_pooled_by_it_and_others_as_torch_does(how, by_ours, monkeypatch):
    images, called = torch.randn(2, 6, 7, 9), []
    monkeypatch.setattr(seed_wise, "max_pool", lambda maps: called.append(1) or max_pool(maps))
    with SeedWise(3):
        found = F.max_pool2d(images, **how), torch.nn.MaxPool2d(**how)(images)
    assert all(torch.equal(each, F.max_pool2d(images, **how)) for each in found)
    assert len(called) == 2 * by_ours
