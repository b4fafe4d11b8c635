"""Damage to a file: what disks, editors, transfers and people do to bytes, text, JSON and tensors."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from benchmarks.endurance.tensor_ways import TENSORS
from benchmarks.endurance.ways import BLOCKS, TEXT, Bytes, early_bits, inside_gzip, json_value, words_for


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
    return ", ".join(map(words_for, chosen))


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
        return [*BLOCKS, *(2 * TENSORS)]
    if name.endswith(".json"):
        return [*BLOCKS, *TEXT, *(4 * [json_value])]
    if name.endswith((".csv", ".toml")):
        return [*BLOCKS, *(2 * TEXT)]
    if name.endswith(".gz"):
        return [*BLOCKS, *(3 * [inside_gzip])]
    if name.endswith((".nii", ".dcm", ".png", ".tif", ".jpg")):
        return [*BLOCKS, *(2 * [early_bits])]
    return BLOCKS
