"""Ways to damage bytes, text and JSON."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Sequence
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


def _place(rng: Random, data: bytes) -> tuple[int, int]:
    """Where a block begins and ends; short and early ones are as likely as long and late ones."""
    if not data:
        return 0, 0
    begin = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 400))
    return begin, min(len(data), begin + int(2 ** rng.uniform(0, 12)))


def bits(rng: Random, data: bytes) -> bytes:
    """One to eight bits the other way, anywhere."""
    return flipped(rng, data, len(data))


def early_bits(rng: Random, data: bytes) -> bytes:
    """The same among the first bytes, where headers are."""
    return flipped(rng, data, min(len(data), 400))


def flipped(rng: Random, data: bytes, within: int) -> bytes:
    """One to eight of the bits of the first `within` bytes the other way."""
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


BLOCKS: list[Bytes] = [bits, bits, _cut_off, _zeroed, _noise_put_in, _doubled, _left_out]


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


def json_value(rng: Random, data: bytes) -> bytes:
    """A value of a JSON text another one."""
    try:
        value = json.loads(data)
    except ValueError:
        return bits(rng, data)
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


def inside_gzip(rng: Random, data: bytes) -> bytes:
    """What checksums cannot see: damage from before the compression."""
    try:
        plain = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return bits(rng, data)
    way = rng.choice((early_bits, early_bits, *BLOCKS))
    return gzip.compress(way(rng, plain), compresslevel=1, mtime=0)


def words_for(way: Bytes) -> str:
    """Such as `cut off`."""
    return way.__name__.strip("_").replace("_", " ")
