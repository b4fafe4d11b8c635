"""Batch normalisation on CUDA: its kernels interpreted, how they are cut, and what a refusal does."""

from pathlib import Path

import pytest
import torch
from triton_files import run_cases

from activmask.kernels.batch_norm import batch_norm, forms
from activmask.kernels.batch_norm.parts import MOST_PARTS, parts_of


@pytest.mark.cuda
@pytest.mark.process
def test_the_triton_form_compiled_where_there_is_cuda_and_interpreted_elsewhere():
    pytest.importorskip("triton")
    run_cases(Path(__file__).with_name("batch_norm_triton_cases.py"))


@pytest.mark.parametrize("rows", [1, 2, 31, 512, 25_088, 10**7])
@pytest.mark.parametrize("channels", [1, 3, 16, 65, 640, 5120])
def test_every_row_and_channel_is_in_one_part(rows, channels):
    cut = parts_of(rows, channels)
    assert (cut.parts - 1) * cut.rows_per_part < rows <= cut.parts * cut.rows_per_part
    assert (cut.columns - 1) * cut.channels_per_tile < channels <= cut.columns * cut.channels_per_tile
    assert cut.rows_per_part % cut.rows_per_tile == 0
    assert cut.parts <= cut.parts_per_tile <= MOST_PARTS


@pytest.fixture
def refusal(monkeypatch):
    """As on a device whose Triton refuses, the refusal forgotten afterwards."""
    state = forms._refusal.__wrapped__()
    monkeypatch.setattr(forms, "_refusal", lambda: state)
    monkeypatch.setattr(forms, "takes", lambda *_: True)
    return state


def test_what_triton_refuses_is_told_once_and_torch_computes(refusal, caplog):
    def failing():
        raise RuntimeError("no such\n  instruction")

    assert [forms._unless_refused(failing, lambda: 7) for _ in range(2)] == [7, 7]
    [record] = caplog.records
    assert "(RuntimeError: no such instruction), so torch computes it" in record.getMessage()
    assert refusal.happened


KINDS = {
    "forward": lambda x: (forms._plain_forward, (x, x[0, :, 0, 0], None, x), (1e-5, True, True)),
    "backward": lambda x: (forms._plain_backward, (x, x, x, None, x, *statistics(x)), (1e-5, True)),
    "twice": lambda x: (forms._plain_twice, (x, *[None] * 3, x, x, x, None, x, *statistics(x)), (1e-5, True)),
}


def statistics(images):
    return images[0, :, 0, 0].float(), images[0, :, 0, 0].float()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", range(4))
def test_results_that_differ_are_refused_at_their_first_use(refusal, caplog, kind, dtype, wrong):
    # Zeros, as of a network that begins, would show nothing.
    images = torch.zeros(4, 8, 5, 5, dtype=dtype).contiguous(memory_format=torch.channels_last)
    plain, tensors, rest = KINDS[kind](images)
    tensors = tuple(each if each is None or each.ndim == 1 else each.clone() for each in tensors)
    images = tensors[0 if kind == "forward" else -5]

    def off(*given):
        found = list(plain(*given))
        found[wrong] = found[wrong] * 1.1
        return tuple(found)

    for ours, happened in ((plain, False), (off, True)):
        found = forms._compared(ours, plain, images, tensors, rest, may_try=True)
        assert all(torch.equal(one, other) for one, other in zip(found, plain(*tensors, *rest), strict=True))
        assert refusal.happened is happened
    assert "differs from torch's" in caplog.text


def test_within_a_graph_what_was_never_compared_is_left_to_torch(refusal):
    images = torch.ones(4, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    given = images, (images, None, None, None), (1e-5, False, False)

    def never(*_):
        raise AssertionError

    found = forms._compared(never, forms._plain_forward, *given, may_try=False)
    assert torch.equal(found[0], torch.zeros_like(images))
    assert not refusal.happened


def test_full_memory_is_no_refusal(refusal):
    def full():
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        forms._unless_refused(full, lambda: 7)
    assert not refusal.happened


def test_what_triton_takes():
    images = torch.ones(2, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    assert forms.takes(images, None, images)
    assert forms.takes(images.bfloat16())
    assert forms.takes(torch.ones(4, 3))
    assert not forms.takes(images.contiguous())
    assert not forms.takes(images, images.bfloat16())
    assert not forms.takes(images.double())
    assert not forms.takes(images[:0])
    assert not forms.takes(torch.ones(2, 3, 4))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_another_order_come_out_in_the_images(layout):
    images = torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    output, _ = batch_norm(images, relu=True)
    (slope,) = torch.autograd.grad(output, images, torch.ones(2, 3, 5, 4).transpose(2, 3))
    assert slope.stride() == output.stride() == images.stride()
