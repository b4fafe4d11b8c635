"""What `previous_version/` holds and how it is read: shared by the test and by the script that made it."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from in_process import told
from safetensors.torch import load_file
from torch import Tensor

from activmask.experiments.cells import grid_cells
from activmask.experiments.forms import forms
from activmask.experiments.grid import FURTHER, NAMED, read_grid
from activmask.runs.toml_file import format_config

MADE = "made"
"""The folder of data sets, runs and settings."""

EXPECTED = "expected"
"""The folder of what that version said of them."""

_CROSSES = "--data data/crosses --lr 1e-3 --batch-size 8 --device cpu --threads 1"
_CNN = f"{_CROSSES} --model cnn --width 2 --epochs 2"
_RESNET = f"{_CROSSES} --model resnet18 --width 1 --epochs 2"
_SMALL = "--batch-size 8 --device cpu --threads 1 --width 1"
_COUNTS = "--train-images 8 --valid-images 4 --test-images 6"
_MSD = f"--data data/liver {_COUNTS} --image-size 20 --mask-blur 4 {_SMALL} --epochs 2"
_BLOBS = f"--data data/blobs --lr 1e-3 {_SMALL} --epochs 2"
_XRAY = f"--data data/xray --lr 1e-3 {_SMALL} --epochs 2"
_FOLLOWUP = "--adversarial-form followup --adversarial-steps 2"

RUNS = {
    "cnn-actdiff": f"{_CNN} --seeds 0-1 --actdiff 10",
    "cnn-masked-everywhere": f"{_CNN} --classify-masked all --masked-fill grey",
    "cnn-half-of-masks": f"{_CNN} --actdiff 10 --masks 0.5",
    "cnn-in-memory": f"{_SMALL} --data synthetic --model cnn --epochs 1 --gradmask 1 --gradmask-norm l1",
    "unet-gradmask": f"{_CROSSES} --model unet --width 1 --epochs 2 --gradmask 1 --gradmask-target positive",
    "resnet18": f"{_RESNET} --split-policy subject --split-seed 4",
    "resnet18-pooled": f"{_RESNET} --head released --actdiff 1 --actdiff-layers pooled",
    "blobs-ae": f"{_BLOBS} --model ae --recon-masked",
    "blobs-borrowed": f"{_BLOBS} --model cnn --width 2 --actdiff 1 --masks-without borrowed",
    "liver": f"--preset liver {_MSD} --model cnn --width 2 --lr 1e-3 --actdiff 1",
    "xray": f"--preset xray {_XRAY} --image-size 20 --width 2 --model cnn --correlation 0.75",
    "unfinished": f"{_CNN} --width 1 --epochs 4 --adversarial 0.5",
}
"""The flags of `train` of every run that is kept, by its folder under `runs/`."""

UNFINISHED = "unfinished"
"""The one that was interrupted after two epochs."""

TRAINED_ANEW = {
    "again-cnn": f"{_CNN} --actdiff 1 --actdiff-norm layer --actdiff-at pre --actdiff-detach",
    "again-cnn-shuffled": f"{_CNN} --classify-shuffled --select loss --eval-train",
    "again-cnn-masked": f"{_CNN} --classify-masked train",
    "again-cnn-cutout": f"{_CNN} --cutout 7 --select accuracy",
    "again-cnn-rrr": f"{_CNN} --rrr 1 --gradmask 0.1 --gradmask-norm l1",
    "again-cnn-all": f"{_CNN} --actdiff 1 --gradmask 1 --rrr 0.1 --adversarial 0.1 --adversarial-steps 2",
    "again-ae": f"{_CROSSES} --model ae --width 1 --epochs 2 --recon 2 --recon-loss mse",
    "again-unet": f"{_CROSSES} --model unet --width 1 --epochs 2 --recon-masked --actdiff 1",
    "again-resnet18": f"{_RESNET} --actdiff 10",
    "again-resnet18-followup": f"{_RESNET} --adversarial 0.5 {_FOLLOWUP}",
    "again-cardiac": f"--preset cardiac {_MSD} --model unet --gradmask 1 --masks-without borrowed",
}
"""Flags of runs of which only the numbers are kept."""

_WEIGHTED = {
    "plain": "",
    "actdiff": "--actdiff 10",
    "actdiff-weak": "--actdiff 0.01",
    "actdiff-row": "--actdiff 10 --actdiff-norm row --actdiff-at pre",
    "actdiff-last": "--actdiff 10 --actdiff-layers last",
    "actdiff-detached": "--actdiff 10 --actdiff-detach",
    "gradmask": "--gradmask 1",
    "gradmask-l1": "--gradmask 1 --gradmask-norm l1 --gradmask-target positive",
    "both": "--actdiff 10 --gradmask 1",
    "rrr": "--rrr 0.1",
    "all-penalties": "--actdiff 10 --gradmask 1 --rrr 2 --adversarial 0.1",
    "adversarial": "--adversarial 0.5 --adversarial-steps 3 --adversarial-lr 0.01",
    "adversarial-followup": "--adversarial 0.5 --adversarial-form followup",
    "masked": "--classify-masked train",
    "masked-grey": "--classify-masked train --masked-fill grey",
    "masked-everywhere": "--classify-masked all",
    "shuffled": "--classify-shuffled",
    "cutout": "--cutout 8",
    "cutout-actdiff": "--cutout 8 --actdiff 1",
    "half-of-masks": "--actdiff 10 --masks 0.5",
    "borrowed": "--actdiff 10 --masks-without borrowed",
}
_AUTOENCODED = {
    **{name: _WEIGHTED[name] for name in ("plain", "actdiff", "actdiff-row", "gradmask", "both")},
    "recon-masked": "--recon-masked",
    "recon-masked-actdiff": "--recon-masked --actdiff 1",
    "recon-weak": "--recon 0.5 --recon-loss mse",
}
TABLE_RUNS = {
    **{f"table-cnn-{name}": f"--model cnn {flags}" for name, flags in _WEIGHTED.items()},
    **{f"table-unet-{name}": f"--model unet {flags}" for name, flags in _AUTOENCODED.items()},
    **{
        f"table-resnet18-{name}": f"--model resnet18 {_WEIGHTED[name]}"
        for name in ("plain", "actdiff", "gradmask", "masked", "borrowed", "actdiff-last")
    },
    "table-resnet18-released": "--model resnet18 --head released --actdiff-layers pooled --actdiff 1",
    "table-resnet18-wide": "--model resnet18 --width 32 --actdiff 1",
    "table-densenet": "--model densenet121 --actdiff 1",
    "table-liver-plain": "--preset liver --model unet",
    "table-liver-actdiff": "--preset liver --model unet --actdiff 1",
    "table-liver-recon-masked": "--preset liver --model ae --recon-masked",
    "table-cardiac": "--preset cardiac --model resnet18 --select accuracy --gradmask 1",
    "table-pancreas": "--preset pancreas --model cnn --masks 0.1 --actdiff 0.5 --epochs 7 --seeds 0,3-5",
    "table-xray-plain": "--preset xray --model resnet18 --correlation 0.6",
    "table-xray-actdiff": "--preset xray --model resnet18 --correlation 0.6 --actdiff 1",
}
"""Flags of runs that were never trained: only their settings, names, labels and pairs are of account."""

PICTURES: dict[str, tuple[str, ...]] = {
    "contrast of an image of the data set": (
        "runs/cnn-actdiff/seed-0/best.safetensors",
        "data/crosses/images/Test-000003.png",
        "--mask",
        "data/crosses/masks/Test-000003.png",
    ),
    "gradcam": (
        "runs/resnet18/seed-0/last.safetensors",
        "data/crosses/images/Test-000001.png",
        "--method",
        "gradcam",
    ),
    "integrated gradients of three classes": (
        "runs/blobs-ae/seed-0/last.safetensors",
        "few",
        "--method",
        "integrated-gradients",
    ),
    "a volume's slice": (
        "runs/liver/seed-0/last.safetensors",
        "scan_003.nii.gz",
        "--slice",
        "2",
        "--mask",
        "scan_003-label.nii.gz",
        "--method",
        "input-gradient",
    ),
}
"""Arguments of `saliency`, by what is looked at."""


def look(place: Path, *arguments: str) -> dict[str, Any]:
    """What `saliency` says, and two sums of its maps."""
    with TemporaryDirectory() as scratch:
        raw, picture = Path(scratch) / "raw.npy", Path(scratch) / "picture.png"
        out = Path(scratch) / "pictures" if (place / arguments[1]).is_dir() else picture
        said = told("saliency", *arguments, "--raw", raw, "--out", out, cwd=place).stdout
        maps = np.load(raw, allow_pickle=False).astype(np.float64)
    weights = np.cos(np.arange(maps.size)).reshape(maps.shape)
    sums = [float(maps.sum()), float((maps * weights).sum())]
    return {"said": said, "shape": list(maps.shape), "sums": sums}


def flat_settings(text: str) -> dict[str, Any]:
    """The settings of a run in TOML, as the flags name them."""
    settings = tomllib.loads(text)
    del settings["seeds"]
    return settings


def differences(text: str) -> dict[str, Any]:
    """The settings of a run in TOML that are not those of `train` without a flag."""
    plain = flat_settings(format_config(_default(), (0,)))
    return {key: value for key, value in flat_settings(text).items() if value != plain[key]}


def flat_grids() -> dict[str, dict[str, Any]]:
    """Every cell of the grids in the package, in every form: its title and its settings.

    Settings that all cells of a grid and a preset share stand under `GRID/PRESET`.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in (*NAMED, *FURTHER):
        grid = read_grid(name)
        keep = {"form": list(forms())} if grid.forms else {}
        by_preset: dict[str, dict[str, dict[str, Any]]] = {}
        for cell in grid_cells(grid, keep=keep):
            settings = differences(format_config(cell.config, (0,)))
            of_preset = by_preset.setdefault(settings.pop("preset", "synthetic"), {})
            of_preset[cell.name] = {"title": cell.title, **settings}
        for preset, cells in by_preset.items():
            first, *others = cells.values()
            shared = {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}
            found[f"{name}/{preset}"] = shared
            for cell_name, settings in cells.items():
                own = {key: value for key, value in settings.items() if key not in shared}
                found[f"{name}/{preset}/{cell_name}"] = own
    return found


def _default() -> Any:
    from activmask.runs.making import make_config

    return make_config()


def raw_runs(out: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Run folders that hold a description and scores alone."""
    for number, (name, config) in enumerate(settings.items()):
        for seed in (0, 1, 2):
            score = round(0.5 + (7 * number + 3 * seed) % 41 / 100, 2)
            of_split = {"auc": score, "accuracy": score / 2, "loss": 1 - score}
            splits = dict.fromkeys(("train", "valid", "test"), of_split)
            metrics = {"seed": seed, "best_epoch": seed, "epochs": config["epochs"], **splits, "last": splits}
            folder = out / name / f"seed-{seed}"
            folder.mkdir(parents=True)
            (folder / "run.json").write_text(json.dumps({"config": config, "seed": seed}), encoding="utf-8")
            (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def fingerprints(weights: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Of every tensor the norm and a sum in which each number has a weight of its own."""
    found = {}
    for name, tensor in weights.items():
        values = tensor.double().flatten()
        sums = (values.norm(), values @ torch.arange(len(values)).double().cos())
        found[name] = [float(f"{float(value):.8g}") for value in sums]
    return found


def result(folder: Path) -> dict[str, Any]:
    """What a seed's folder came to: its scores, its history and fingerprints of its last weights."""
    return {
        "metrics": json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        "history": (folder / "history.csv").read_text(encoding="utf-8"),
        "weights": fingerprints(load_file(folder / "last.safetensors")),
    }


def table_settings(expected: Path, made: Path) -> dict[str, dict[str, Any]]:
    """All settings of the runs that were never trained, as that version wrote them."""
    known = json.loads((expected / "settings.json").read_text(encoding="utf-8"))
    plain = flat_settings((made / "settings/plain.toml").read_text(encoding="utf-8"))
    return {
        name: {key: value for key, value in {**plain, **known[name]}.items() if key in plain}
        for name in TABLE_RUNS
    }
