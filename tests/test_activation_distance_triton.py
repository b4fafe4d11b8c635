from pathlib import Path

import pytest
import torch
from triton_files import machine_code, python, run_cases

from activmask.kernels.activation_distance import activation_distance, reference

LONG = {"norms_per_tile": 1, "axis_per_tile": 2048, "tiles": 8, "inner_is_one": True}
SHORT = {"norms_per_tile": 32, "axis_per_tile": 64, "tiles": 1, "inner_is_one": True}
STRIDED = {"norms_per_tile": 64, "axis_per_tile": 32, "tiles": 16, "inner_is_one": False}


@pytest.mark.cuda
@pytest.mark.process
def test_the_triton_form_compiled_where_there_is_cuda_and_interpreted_elsewhere():
    pytest.importorskip("triton")
    run_cases(Path(__file__).with_name("activation_distance_triton_cases.py"))


@pytest.mark.process
@pytest.mark.parametrize("kind", ["bf16", "fp32", "fp64"])
@pytest.mark.parametrize("plan", [LONG, SHORT, STRIDED], ids=["long", "short", "strided"])
def test_both_kernels_compile_for_a_gpu(plan, kind):
    pytest.importorskip("triton")
    from triton import language as tl

    from activmask.kernels.activation_distance import triton as form

    wide, accumulator = ("fp64", tl.float64) if kind == "fp64" else ("fp32", tl.float32)
    taps = dict.fromkeys(("full", "shuffled", "to_full", "to_shuffled"), f"*{kind}")
    small = dict.fromkeys(("lengths", "sums", "gradient"), f"*{wide}")
    # One sample, one channel: Triton takes every 1 as a constant.
    one = {"outer": 1, "axis": 1, "inner": 1 if plan["inner_is_one"] else "i32"}
    for sizes in ({**one, "outer": "i32", "axis": "i32"}, one):
        given = {**taps, **small, **sizes, **plan, "accumulator": accumulator}
        assert machine_code(form._measure, **given, relu=kind == "fp32", in_parts=plan == LONG)
        seeds = (
            {"seeds": "i32", "norms_per_seed": "i32"} if sizes == one else {"seeds": 1, "norms_per_seed": 1}
        )
        both = {"relu": kind == "bf16", "wants_full": True, "wants_shuffled": kind == "fp32"}
        assert machine_code(form._spread, **given, **seeds, **both)


@pytest.mark.parametrize("norm", ["layer", "channel", "row"])
def test_on_the_cpu_the_reference_runs(norm):
    full, shuffled = ([torch.rand(2, 3, 4, 5), torch.rand(2, 6)] for _ in range(2))
    assert torch.equal(
        activation_distance(full, shuffled, norm), reference.activation_distance(full, shuffled, norm)
    )


@pytest.mark.process
def test_on_the_cpu_triton_need_not_be_there():
    code = (
        "import sys; sys.modules['triton'] = None; import torch;"
        "from activmask.kernels.activation_distance import activation_distance;"
        "activation_distance([torch.rand(2, 3)], [torch.rand(2, 3)], 'row');"
        "assert 'activmask.kernels.activation_distance.triton' not in sys.modules"
    )
    assert python("-c", code).stderr == ""
