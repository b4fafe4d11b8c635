"""The bytes of a safetensors file, of which the tensors' own are not copied.

The format's library copies all of them twice before the first is written. Its files are these to the byte.
"""

import json
from collections.abc import Mapping

import torch
from torch import Tensor

_TYPES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What the format calls torch's types, in the order in which a file holds their tensors."""
_PLACES = {dtype: place for place, dtype in enumerate(_TYPES)}

_WORD = 8
"""Bytes: the header's length is told in so many, and is a multiple of it."""


def file_parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """What a file of some tensors holds, part after part.

    Args:
        tensors: by name, each contiguous and on the CPU; the parts are views of them.
        metadata: of the header.

    Raises:
        ValueError: a tensor is of a type that the format does not have.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise ValueError(f"safetensors have no type for {name}, which is {tensor.dtype}")
    names = sorted(tensors, key=lambda name: (_PLACES[tensors[name].dtype], name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        tensor, start = tensors[name], end
        end += tensor.nbytes
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _WORD)
    return [len(text).to_bytes(_WORD, "little"), text, *(bytes_of(tensors[name]) for name in names)]


def bytes_of(tensor: Tensor) -> memoryview:
    """A view of the bytes of a contiguous tensor on the CPU."""
    found: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return found
