from pathlib import Path

import pytest
import torch
from triton_files import machine_code, python, run_cases

from activmask.kernels.masked_shuffle import masked_shuffle, reference

WORK = dict.fromkeys(("places", "keys", "numbers", "counts", "kept_counts"), "*i32")
TENSORS = {"images": "*i16", "out": "*i16", "masks": "*u8", "seed": "*i64", "offset": "*i64", **WORK}
STRIDED = {
    "per_seed": "i32",
    "channels": "i32",
    "pixels": "i32",
    "mask_b": "i32",
    "mask_p": "i32",
    "strides": ("i32",) * 8,
}
# One channel of a contiguous image: Triton takes every 1 as a constant, but for images a seed.
UNIT = {
    **STRIDED,
    "channels": 1,
    "strides": ("i32", "i32", 1, "i32", "i32", 1, "i32", 1),
    "mask_p": 1,
}
ONES = {**UNIT, "strides": (1,) * 8, "mask_b": 1, "pixels": 1}
TILED = {"high_bits": 10, "low_bits": 10, "tiles": 1024, "tile_size": 1024}


@pytest.mark.cuda
@pytest.mark.process
def test_the_triton_form_compiled_where_there_is_cuda_and_interpreted_elsewhere():
    pytest.importorskip("triton")
    run_cases(Path(__file__).with_name("masked_shuffle_triton_cases.py"))


@pytest.mark.process
@pytest.mark.parametrize("sizes", [STRIDED, UNIT, ONES], ids=["strided", "unit", "ones"])
@pytest.mark.parametrize(
    ("kernel", "constants"),
    [
        ("_shuffle_image", {"high_bits": 5, "low_bits": 5, "inverse": False}),
        ("_count_tile", TILED),
        ("_list_tile", TILED),
        ("_move_tile", {**TILED, "inverse": True}),
    ],
)
def test_every_kernel_compiles_for_a_gpu(kernel, constants, sizes):
    pytest.importorskip("triton")
    from activmask.kernels.masked_shuffle import triton as form

    assert machine_code(getattr(form, kernel), **TENSORS, **sizes, **constants)


@pytest.mark.process
def test_on_the_cpu_the_reference_runs_and_triton_need_not_be_there():
    code = (
        "import sys; sys.modules['triton'] = None; import torch;"
        "from activmask.kernels.masked_shuffle import masked_shuffle;"
        "masked_shuffle(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4) < 0.5, torch.Generator());"
        "assert 'activmask.kernels.masked_shuffle.triton' not in sys.modules"
    )
    assert python("-c", code).stderr == ""
    images, masks = torch.rand(3, 2, 9, 9), torch.rand(3, 1, 9, 9) < 0.4
    ours, theirs = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    assert torch.equal(masked_shuffle(images, masks, ours), reference.masked_shuffle(images, masks, theirs))
    assert torch.equal(ours.get_state(), theirs.get_state())
