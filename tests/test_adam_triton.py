"""The Triton form of Adam: interpreted, or run where there is CUDA, and compiled for a GPU."""

from pathlib import Path

import pytest
import torch
from triton_files import machine_code, run_cases

from activmask.kernels.adam import adam, forms, parts_of
from benchmarks.hopper import compiled, recorded

TENSORS = dict.fromkeys(("weights", "gradient", "first", "second", "steps", "stopped"), "*fp32")
NUMBERS = dict.fromkeys(("lr", "gain1", "beta2", "gain2", "eps", "decay1", "decay2"), "fp32")


@pytest.mark.cuda
@pytest.mark.process
def test_the_triton_form_compiled_where_there_is_cuda_and_interpreted_elsewhere():
    pytest.importorskip("triton")
    run_cases(Path(__file__).with_name("adam_triton_cases.py"))


@pytest.mark.process
@pytest.mark.parametrize("seeds", ["i32", 1])
def test_it_compiles_for_a_gpu(seeds):
    pytest.importorskip("triton")
    from activmask.kernels.adam import triton as form

    assert machine_code(form._step, **TENSORS, **NUMBERS, blocks="*i64", seeds=seeds, block=1024)


@pytest.mark.process
def test_compiled_for_a_hopper_gpu_it_spills_no_register():
    pytest.importorskip("triton")
    from activmask.kernels.adam import triton as form

    numbers, few = torch.empty(4096, device="meta"), torch.empty(10, device="meta")
    blocks = torch.empty(4, 3, dtype=torch.int64, device="meta")
    with recorded(form) as launches:
        form.adam(*[numbers] * 4, few, few, blocks, 0.01, 0.9, 0.999, 1e-8)
    [launch] = launches
    assert compiled(launch).spilled == 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_where_triton_refuses_it_is_told_once_and_torch_computes_it(monkeypatch, caplog):
    from activmask.kernels.adam import triton as form

    def refuse(*_arguments):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(form, "adam", refuse)
    forms._refusal.cache_clear()
    weights = torch.ones(3, device="cuda")
    rest = [torch.ones(3, device="cuda") for _ in range(3)]
    for _ in range(2):
        adam(
            weights, *rest, torch.zeros(1, device="cuda"), torch.zeros(1, device="cuda"),
            parts_of([3], weights.device), lr=0.1, betas=(0.9, 0.999), eps=1e-8,
        )  # fmt: skip
    forms._refusal.cache_clear()
    assert caplog.text.count("no kernel image is available") == 1
    assert (weights < 1).all()
