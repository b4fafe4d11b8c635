"""Damage to a file: what disks, editors, transfers and people do to bytes, text, JSON and tensors."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

Bytes = Callable[[Random, bytes], bytes]

HOSTILE = (
    *("", "nan", "-nan", "inf", "-inf", "1e400", "-1", "0", "1e20", "99999999999999999999", "0x10", "1,5"),
    *(
        "true",
        "null",
        "None",
        "[/b]",
        ":skull:",
        "\x1b[31m",
        "=1+1",
        "../../etc",
        "\u202e",
        "\ud800",
        "a\x00b",
    ),
)
NUMBERS: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 7, 2**31, 2**63, 10**20, 10**400, -(10**20), 0.5, 1e308, 1e-308),
    *(float("nan"), float("inf"), True),
)
VALUES: tuple[Any, ...] = (*NUMBERS, *HOSTILE, None, [], {}, [[]], {"a": 1}, [1, 2, 3], "x" * 5000)


def damage(rng: Random, path: Path, others: Sequence[Path]) -> str:
    """Damage a file in one way, or several ways at once; returns what was done, in words.

    Args:
        rng: draws what.
        path: the file; afterwards it may be a folder, or not there.
        others: files whose content may take its place.
    """
    drawn = rng.random()
    if drawn < 0.06:
        return _as_a_whole(rng, path)
    data = path.read_bytes()
    ways = _ways(path.name)
    if drawn < 0.12 and others:
        other = rng.choice(others)
        path.write_bytes(other.read_bytes())
        return f"replaced by {'/'.join(other.parts[-3:])}"
    chosen = [rng.choice(ways) for _ in range(1 if rng.random() < 0.8 else rng.randint(2, 4))]
    for way in chosen:
        data = way(rng, data)
    path.write_bytes(data)
    return ", ".join(way.__name__.strip("_").replace("_", " ") for way in chosen)


def _as_a_whole(rng: Random, path: Path) -> str:
    way = rng.choice(("empty", "a folder", "gone", "a broken link", "a link to itself", "unreadable bytes"))
    path.unlink()
    if way == "empty":
        path.touch()
    elif way == "a folder":
        path.mkdir()
        (path / "within").touch()
    elif way == "a broken link":
        path.symlink_to("nowhere")
    elif way == "a link to itself":
        path.symlink_to(path.name)
    elif way == "unreadable bytes":
        path.write_bytes(rng.randbytes(rng.randint(1, 5000)))
    return way


def _ways(name: str) -> list[Bytes]:
    if name.endswith(".safetensors"):
        return [*BLOCKS, *(2 * [_header_value, _description_value, _tensor_facts, _tensor_bits])]
    if name.endswith(".json"):
        return [*BLOCKS, *TEXT, *(4 * [_json_value])]
    if name.endswith((".csv", ".toml")):
        return [*BLOCKS, *(2 * TEXT)]
    if name.endswith(".gz"):
        return [*BLOCKS, *(3 * [_inside_gzip])]
    if name.endswith((".nii", ".dcm", ".png", ".tif", ".jpg")):
        return [*BLOCKS, *(2 * [_early_bits])]
    return BLOCKS


def _place(rng: Random, data: bytes) -> tuple[int, int]:
    """Where a block begins and ends; short and early ones are as likely as long and late ones."""
    if not data:
        return 0, 0
    begin = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 400))
    return begin, min(len(data), begin + int(2 ** rng.uniform(0, 12)))


def _bits(rng: Random, data: bytes) -> bytes:
    return _flipped(rng, data, len(data))


def _early_bits(rng: Random, data: bytes) -> bytes:
    return _flipped(rng, data, min(len(data), 400))


def _flipped(rng: Random, data: bytes, within: int) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8)) if within else 0):
        damaged[rng.randrange(within)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _cut_off(rng: Random, data: bytes) -> bytes:
    return data[: _place(rng, data)[0]]


def _zeroed(rng: Random, data: bytes) -> bytes:
    begin, end = _place(rng, data)
    return data[:begin] + bytes(end - begin) + data[end:]


def _noise_put_in(rng: Random, data: bytes) -> bytes:
    begin, end = _place(rng, data)
    return data[:begin] + rng.randbytes(end - begin) + data[begin:]


def _doubled(rng: Random, data: bytes) -> bytes:
    begin, end = _place(rng, data)
    return data[:end] + data[begin:]


def _left_out(rng: Random, data: bytes) -> bytes:
    begin, end = _place(rng, data)
    return data[:begin] + data[end:]


BLOCKS: list[Bytes] = [_bits, _bits, _cut_off, _zeroed, _noise_put_in, _doubled, _left_out]


def _one_word(rng: Random, data: bytes) -> bytes:
    return _substituted(rng, data, rb"[A-Za-z_][\w-]*", HOSTILE)


def _one_number(rng: Random, data: bytes) -> bytes:
    return _substituted(rng, data, rb"-?\d+(\.\d+)?(e-?\d+)?", [*HOSTILE, *map(_as_text, NUMBERS)])


def _one_line(rng: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at, source = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(3)
    if way == 0:
        return b"".join([*lines[:at], *lines[at + 1 :]])
    if way == 1:
        return b"".join([*lines[:at], lines[source], *lines[at:]])
    return b"".join([*lines[:at], lines[source], *lines[at + 1 :]])


def _one_separator(rng: Random, data: bytes) -> bytes:
    return _substituted(rng, data, rb"[,;:=\"\[\]{}\n]", ("", ",", ";", '"', "\n", "\r", "]", "}}", "\t"))


TEXT: list[Bytes] = [_one_word, _one_number, _one_line, _one_separator]


def _as_text(value: Any) -> str:
    return str(value)[:400]


def _substituted(rng: Random, data: bytes, pattern: bytes, instead: Sequence[str]) -> bytes:
    found = list(re.finditer(pattern, data))
    if not found:
        return data
    one = rng.choice(found)
    text = rng.choice(instead).encode("utf-8", errors="surrogatepass")
    return data[: one.start()] + text + data[one.end() :]


def _json_value(rng: Random, data: bytes) -> bytes:
    try:
        value = json.loads(data)
    except ValueError:
        return _bits(rng, data)
    return _dumped(changed_value(rng, value))


def _dumped(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


def changed_value(rng: Random, value: Any) -> Any:
    """A JSON value with another one, another type, one more or one fewer somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.93:
        return _changed_object(rng, value)
    if isinstance(value, list) and value and rng.random() < 0.9:
        return _changed_list(rng, value)
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((value + 1, value - 1, -value, value * 10, value / 2, float(value), str(value)))
    return rng.choice(VALUES)


def _changed_object(rng: Random, value: dict[str, Any]) -> dict[str, Any]:
    key = rng.choice(list(value))
    way = rng.choices(("less", "more", "other", "deeper"), (6, 3, 4, 87))[0]
    if way == "less":
        return {name: one for name, one in value.items() if name != key}
    if way == "more":
        return {**value, rng.choice(HOSTILE): rng.choice(VALUES)}
    if way == "other":
        return {**value, key: value[rng.choice(list(value))]}
    return {**value, key: changed_value(rng, value[key])}


def _changed_list(rng: Random, value: list[Any]) -> list[Any]:
    at = rng.randrange(len(value))
    way = rng.choices(("less", "more", "deeper"), (1, 1, 8))[0]
    if way == "less":
        return value[:at] + value[at + 1 :]
    if way == "more":
        return [*value[:at], value[at], *value[at:]]
    return [*value[:at], changed_value(rng, value[at]), *value[at + 1 :]]


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
    return _bits(rng, data) if opened is None else _closed(changed_value(rng, opened[0]), opened[1])


def _description_value(rng: Random, data: bytes) -> bytes:
    """What the file says of its run, which is JSON within the header's JSON."""
    opened = _opened(data)
    try:
        header, body = opened or ({}, b"")
        written = changed_value(rng, json.loads(header["__metadata__"]["activmask"]))
    except (KeyError, TypeError, ValueError):
        return _bits(rng, data)
    metadata = {**header["__metadata__"], "activmask": json.dumps(written)}
    return _closed({**header, "__metadata__": metadata}, body)


def _tensor_facts(rng: Random, data: bytes) -> bytes:
    """A tensor's name, type or shape, or two tensors changed about."""
    opened = _opened(data)
    names = [] if opened is None else [name for name in opened[0] if name != "__metadata__"]
    if opened is None or not names or not all(isinstance(opened[0][name], dict) for name in names):
        return _bits(rng, data)
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
        return _bits(rng, data)
    return data[: len(data) - len(opened[1])] + _flipped(rng, opened[1], len(opened[1]))


def _inside_gzip(rng: Random, data: bytes) -> bytes:
    """What checksums cannot see: damage from before the compression."""
    try:
        plain = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return _bits(rng, data)
    way = rng.choice((_early_bits, _early_bits, *BLOCKS))
    return gzip.compress(way(rng, plain), compresslevel=1, mtime=0)
