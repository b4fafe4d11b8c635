"""What the Triton form of the maxima of windows must do, run by `test_max_pool.py`."""

from functools import partial

import pytest
import torch
from torch import Tensor

from activmask.kernels.max_pool import forms, max_pool, reference
from activmask.kernels.max_pool import triton as form

pytestmark = pytest.mark.process  # Triton compiles by other programs.

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
SHAPES = [(1, 1, 2, 2), (2, 3, 3, 2), (3, 40, 5, 7), (2, 70, 4, 6), (1, 16, 28, 28), (2, 64, 1, 5)]


def maps(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    """Few different values, so that windows have several maxima."""
    source = torch.Generator().manual_seed(seed)
    values = torch.randint(-3, 4, shape, generator=source).to(DEVICE, dtype)
    return values.contiguous(memory_format=torch.channels_last)


def pooled(shape: tuple[int, ...]) -> tuple[int, ...]:
    return *shape[:2], shape[2] // 2, shape[3] // 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_three_have_the_bits_of_torch(shape, dtype):
    images = maps(shape, dtype, 1)
    if 0 in pooled(shape):
        gradient = images.new_empty(pooled(shape))
        assert not form.spread(gradient, images).any()
        return
    assert torch.equal(form.max_pool(images), reference.max_pool(images))
    gradient, tangent = maps(pooled(shape), dtype, 2), maps(shape, dtype, 3)
    assert torch.equal(form.spread(gradient, images), reference.spread(gradient, images))
    assert torch.equal(form.gather(tangent, images), reference.gather(tangent, images))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["max_pool", "spread", "gather"])
def test_it_is_compared_with_torch_where_values_are_equal_or_no_numbers(name, dtype):
    like = (torch.zeros(1, dtype=dtype, device=DEVICE),) * 2
    forms.check_agreement(lambda given: getattr(form, name)(*given), name, like)

    def wrong(given: tuple[Tensor, ...]) -> Tensor:
        return getattr(form, name)(*(each.flip(2) for each in given)).flip(2)

    with pytest.raises(ArithmeticError, match="differs from torch's"):
        forms.check_agreement(wrong, name, like)


def test_windows_that_lack_pixels_get_nothing_and_all_else_is_written():
    images = maps((2, 3, 3, 5), torch.float32, 1)
    found = form.spread(
        torch.ones(2, 3, 1, 2, device=DEVICE).contiguous(memory_format=torch.channels_last), images
    )
    assert not found[:, :, 2].any()
    assert not found[..., 4].any()
    assert found.sum().item() == 2 * 3 * 2


@pytest.mark.cuda
@pytest.mark.skipif(not CUDA, reason="no CUDA here")
def test_on_a_device_the_operator_computes_by_it(monkeypatch):
    called = []
    for name in ("max_pool", "spread", "gather"):
        ours = getattr(form, name)
        monkeypatch.setattr(
            form, name, partial(lambda own, key, *given: called.append(key) or own(*given), ours, name)
        )
    images = maps((2, 16, 6, 6), torch.float32, 1).requires_grad_()
    [slope] = torch.autograd.grad(max_pool(images).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert set(called) == {"max_pool", "spread", "gather"}
