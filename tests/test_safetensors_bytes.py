"""Files of tensors are, to the byte, those that the format's own library makes."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from activmask.runs.safetensors_bytes import file_parts
from activmask.runs.tensor_file import hold, read_tensors, tensors_digest, write_tensors

TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int16)
TYPES += (torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint32)
tensors = st.builds(
    lambda dtype, shape: (100 * torch.rand(shape)).to(dtype),
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 3), max_size=4),
)


@given(st.dictionaries(st.text(max_size=8), tensors, max_size=6), st.text())
def test_the_bytes_are_those_of_the_formats_library(found, told):
    found.pop("__metadata__", None)
    assert b"".join(file_parts(found, {"key": told})) == save(found, {"key": told})


def test_views_in_another_order_and_shared_memory_are_written_as_copies_would_be(tmp_path):
    flat = torch.arange(96.0)
    last = flat.view(2, 4, 4, 3).permute(0, 3, 1, 2)
    views = {"last": last, "same": last, "transposed": flat.view(8, 12).T, "part": flat[1:7]}
    write_tensors(tmp_path / "file", hold(views), {"told": "é"})
    copies = {name: view.contiguous().clone() for name, view in views.items()}
    written = (tmp_path / "file").read_bytes()
    header = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])
    assert written == save(copies, header["__metadata__"])
    file = read_tensors(tmp_path / "file")
    assert file.sha256 == tensors_digest(views) == tensors_digest(copies)
    assert all(torch.equal(file.tensors[name], view) for name, view in views.items())


def test_a_type_that_the_format_lacks_is_named_and_nothing_is_written(tmp_path):
    held = hold({"phase": torch.zeros(2, dtype=torch.complex128)})
    with pytest.raises(ValueError, match=r"phase, which is torch\.complex128"):
        write_tensors(tmp_path / "file", held, {})
    assert list(tmp_path.iterdir()) == []
