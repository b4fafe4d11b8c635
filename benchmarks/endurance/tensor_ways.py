"""Ways to damage a file of tensors without its ceasing to be one."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from benchmarks.endurance.sameness import SEAL
from benchmarks.endurance.ways import HOSTILE, Bytes, bits, changed_value, flipped, words_for


def _opened(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """A safetensors file's header and what follows it; None where it is damaged already."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return None
    return (header, data[8 + length :]) if isinstance(header, dict) else None


def _closed(header: Any, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def _header_value(rng: Random, data: bytes) -> bytes:
    opened = _opened(data)
    return bits(rng, data) if opened is None else _closed(changed_value(rng, opened[0]), opened[1])


def _description_value(rng: Random, data: bytes) -> bytes:
    """What the file says of its run, which is JSON within the header's JSON."""
    return _told(rng, data, lambda told: changed_value(rng, told))


def _edited_before_seals(rng: Random, data: bytes) -> bytes:
    """The same in a file as earlier versions wrote it, without digests, where nobody can know of an edit."""
    return _told(rng, data, lambda told: changed_value(rng, _without_digests(told)))


def _told(rng: Random, data: bytes, change: Callable[[Any], Any]) -> bytes:
    opened = _opened(data)
    try:
        header, body = opened or ({}, b"")
        written = change(json.loads(header["__metadata__"]["activmask"]))
    except (KeyError, TypeError, ValueError):
        return bits(rng, data)
    metadata = {**header["__metadata__"], "activmask": json.dumps(written)}
    return _closed({**header, "__metadata__": metadata}, body)


def _without_digests(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    return {name: _without_digests(one) for name, one in told.items() if not name.endswith(SEAL)}


def _tensor_facts(rng: Random, data: bytes) -> bytes:
    """A tensor's name, type or shape, or two tensors changed about."""
    opened = _opened(data)
    names = [] if opened is None else [name for name in opened[0] if name != "__metadata__"]
    if opened is None or not names or not all(isinstance(opened[0][name], dict) for name in names):
        return bits(rng, data)
    header, body = dict(opened[0]), opened[1]
    one, other = rng.choice(names), rng.choice(names)
    way = rng.randrange(5)
    if way == 0:
        header[one], header[other] = header[other], header[one]
    elif way == 1:
        header[one] = {**header[one], "dtype": rng.choice(("F32", "I32", "F16", "BF16", "F64", "U8", "X"))}
    elif way == 2:
        header[one] = {**header[one], "shape": list(reversed(header[one].get("shape", [])))}
    elif way == 3:
        header[one] = {**header[one], "shape": [1, *header[one].get("shape", [])]}
    else:
        header[f"{one}{rng.choice(HOSTILE)}"] = header.pop(one)
    return _closed(header, body)


def _tensor_bits(rng: Random, data: bytes) -> bytes:
    opened = _opened(data)
    if opened is None:
        return bits(rng, data)
    return data[: len(data) - len(opened[1])] + flipped(rng, opened[1], len(opened[1]))


TENSORS: list[Bytes] = [_header_value, _description_value, _edited_before_seals, _tensor_facts, _tensor_bits]
BELIEVABLE = words_for(_edited_before_seals)
"""What is done to a file where to be believed is no loss."""
