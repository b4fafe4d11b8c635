"""All that an evaluation of a checkpoint follows from, by digest."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from activmask.data.dataset import CARD_FILE, TABLE_FILE, Dataset
from activmask.data.settings import IN_MEMORY
from activmask.ground.errors import CheckpointError, DataError
from activmask.ground.own_files import files_behind
from activmask.models.library_names import library_of
from activmask.models.own_code import is_own_code
from activmask.runs.checkpoint import Description, read_description
from activmask.runs.folder import METRICS_FILE, RUN_FILE, SPLITS_FILE, seed_of
from activmask.runs.manifest import file_content
from activmask.runs.tensor_file import read_told
from activmask.training.feed.origin import absolute
from activmask.training.feed.reading import Reading
from activmask.training.feed.trained_data import of_description, own_place

Basis = dict[str, Any]
"""Plain values; two evaluations whose bases are equal come to the same bits."""

_LIBRARIES = ("captum", "numpy", "pillow", "scikit-learn", "scipy", "torch", "torchvision")
_BESIDE = (RUN_FILE, METRICS_FILE, SPLITS_FILE)
"""What an evaluation reads in the seed's folder."""


def basis_of(
    path: Path,
    *,
    data: str | None,
    split: str,
    accept_recipe: bool,
    groups: str,
    common: Basis,
    reading: Reading,
    label: str | None = None,
) -> tuple[Description, Basis] | None:
    """A checkpoint's description, and what its evaluation follows from.

    Args:
        path: of the checkpoint.
        data: as it was asked for, or None for the run's own.
        split: likewise.
        accept_recipe: likewise.
        groups: likewise.
        common: what all evaluations of this process follow from, see `common_basis`.
        reading: what was read for other checkpoints.
        label: about which a network of several is asked.

    Returns:
        None where nobody can say: outside of a seed's folder, of a run of an earlier version, of a network
        that a user's own code makes, or of data
        that are gone or broken.
    """
    if seed_of(path.parent) is None or not common:
        return None
    try:
        description = read_description(path, read_told(path))
        if not (description.split_sha256 and description.recipe):
            return None
        model = description.config.network.model
        if is_own_code(model):
            # Nobody knows what its code imports.
            return None
        basis = {
            **common,
            **({"timm": version("timm")} if library_of(model)[0] == "timm" else {}),
            "file": f"{path.parent.name}/{path.name}",
            "checkpoint_sha256": _sha256(path),
            "beside": {name: _sha256(path.parent / name) for name in _BESIDE},
            "split": split,
            "accept_recipe": accept_recipe,
            **({} if label is None else {"label": label}),
            **({"groups": groups} if groups else {}),
            **_of_data(path, description, data, reading),
        }
    except (CheckpointError, DataError, OSError, PackageNotFoundError):
        # Whatever it is, the evaluation itself will say it better.
        return None
    return description, basis


def common_basis(device: torch.device, module: str) -> Basis:
    """What all evaluations on a device follow from; empty where the program cannot read its own files.

    Args:
        device: where they compute.
        module: the name of the one that evaluates.
    """
    program = _program_sha256(files_behind(module))
    if not program:
        return {}
    return {
        "program": module,
        "program_sha256": program,
        "libraries": {name: version(name) for name in _LIBRARIES},
        "device": _device(device),
        "threads": torch.get_num_threads(),
    }


def _program_sha256(files: Mapping[str, Path]) -> str:
    """Of source files by name: any change of one may be one of what is measured."""
    found = hashlib.sha256()
    for name, path in files.items():
        found.update(f"{name}\n{_sha256(path)}\n".encode())
    return found.hexdigest() if files else ""


def _device(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {
            "type": device.type,
            "machine": platform.machine(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
        }
    return {
        "type": device.type,
        "name": torch.cuda.get_device_name(device),
        "tf32": [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32],
    }


def _of_data(path: Path, description: Description, data: str | None, reading: Reading) -> Basis:
    trained = of_description(description, path.parent)
    drawn = trained.source.data == IN_MEMORY
    if data is None:
        return {"data_sha256": "" if drawn else _data_sha256(own_place(trained), reading)}
    own = None if drawn else own_place(trained)
    return {
        "data_sha256": "" if data == IN_MEMORY else _data_sha256(Path(data), reading),
        "own_sha256": "" if own is None else _data_sha256(own, reading),
        # Whether they are one folder makes a difference.
        "data": data if data == IN_MEMORY else absolute(Path(data)),
        "own": "" if own is None else absolute(own),
    }


def _data_sha256(root: Path, reading: Reading) -> str:
    """Of a data set: its table and card, and every file that the table names."""
    dataset, known = reading.table(root), reading.known(root)
    for name in _names(dataset):
        if name and name not in known:
            known[name] = hashlib.sha256(file_content(root / name)).hexdigest()
    held = [[name, known[name]] for name in sorted({*_names(dataset)} - {""})]
    whole = [_sha256(root / TABLE_FILE), _sha256(root / CARD_FILE), held]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _names(dataset: Dataset) -> tuple[str, ...]:
    masks = (*dataset.mask_file_names, *dataset.shortcut_mask_file_names)
    return (*dataset.file_names, *masks, *dataset.twin_file_names)


def _sha256(path: Path) -> str:
    """Of a file; empty where there is none (raises OSError)."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
