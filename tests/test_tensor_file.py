"""Files of tensors that lie in memory in any order."""

import json

import torch
from safetensors.torch import save

from activmask.runs.tensor_file import hold, read_tensors, tensors_digest, write_tensors


def test_views_in_another_order_and_shared_memory_are_written_as_copies_would_be(tmp_path):
    flat = torch.arange(96.0)
    last = flat.view(2, 4, 4, 3).permute(0, 3, 1, 2)
    views = {
        "last": last,
        "same": last,
        "transposed": flat.view(8, 12).T,
        "part": flat[1:7],
        "again": flat[1:7],
    }
    write_tensors(tmp_path / "file", hold(views), {"told": "é"})
    copies = {name: view.contiguous().clone() for name, view in views.items()}
    written = (tmp_path / "file").read_bytes()
    header = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])
    assert written == save(copies, header["__metadata__"])
    file = read_tensors(tmp_path / "file")
    assert file.sha256 == hold(views).sha256 == tensors_digest(copies)
    assert all(torch.equal(file.tensors[name], view) for name, view in views.items())
