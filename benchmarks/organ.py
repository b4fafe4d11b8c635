"""The paper's methods for volumes on one simulated organ: are they still different methods?

    python -m benchmarks organ work/organ --epochs 12 --seeds 2

writes a task of CT volumes of 512 px in which the organ is an ellipse of liver's size (its slices
also show a brighter spine, which is no part of it), prepares it as the preset `liver` asks, trains
every method below for each seed where that is not done yet, and measures what the masks cover and
the test scores, mean ± standard deviation over seeds.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from activmask.data.sources.msd.prepare import prepare_msd
from activmask.evaluation.batch import evaluate_checkpoint
from activmask.evaluation.evaluated import Evaluated
from activmask.runs.folder import BEST_FILE
from activmask.runs.making import make_config
from activmask.training.run import train
from benchmarks.command import Findings
from benchmarks.result import Cell, Table, column, mean_sd

METHODS: dict[str, dict[str, Any]] = {
    "Classify": {},
    "Gradmask": {"gradmask": 1.0},
    "Classify-Masked": {"classify_masked": "train"},
    "Classify-Masked, borrowed masks": {"classify_masked": "train", "masks_without": "borrowed"},
    "Actdiff": {"actdiff": 1.0},
}
SIDE, SLICES = 512, 8

# mypy takes this class, which has no annotations, for an untyped call.
_image: Any = nibabel.Nifti1Image


def add_options(parser: ArgumentParser) -> None:
    """Declare where, how many volumes, and how long to train."""
    parser.add_argument("folder", type=Path, help="of the volumes, the data set and the runs")
    parser.add_argument("--volumes", type=int, default=12, help="(default: 12)")
    parser.add_argument("--epochs", type=int, default=12, help="(default: 12)")
    parser.add_argument("--seeds", type=int, default=2, help="how many, from 0 (default: 2)")
    parser.add_argument("--width", type=int, default=8, help="channels of the first block (default: 8)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Prepare and train what is not there yet, then evaluate."""
    data = given.folder / "data"
    if not data.exists():
        prepare_msd(write_task(given.folder / "Task03_Liver", given.volumes), data)
    rows = []
    for name, method in METHODS.items():
        settings = _settings(given, data) | method
        folder = given.folder / name.replace(", ", "-").replace(" ", "-")
        results = train(make_config(**settings), range(given.seeds), folder)
        rows.append(_row(name, [evaluate_checkpoint(one.folder / BEST_FILE) for one in results]))
        yield Findings(
            title="The methods for volumes on a simulated organ",
            parts=[{"table": _coverage(data)}, {"table": _scores(rows)}],
        )


def _settings(given: Namespace, data: Path) -> dict[str, Any]:
    return {
        "preset": "liver",
        "data": str(data),
        "model": "cnn",
        "width": given.width,
        "epochs": given.epochs,
        "split_ratio": "50/25/25",
        "train_images": 0,
        "valid_images": 0,
        "test_images": 0,
        "lr": 1e-3,
        "threads": 1,
        "device": "cpu",
    }


def write_task(root: Path, volumes: int) -> Path:
    """A task of half organ, half other slices: noise in a body, the organ a little brighter."""
    training = []
    for k in range(volumes):
        rng = np.random.default_rng(k)
        image = rng.normal(0, 40, (SIDE, SIDE, SLICES)).astype(np.int16)
        label = np.zeros(image.shape, np.uint8)
        image[~_ellipse(0.5, 0.5, 0.42, 0.32)] -= 400
        for z in range(SLICES // 2):
            scale = rng.uniform(0.5, 1.4)
            label[:, :, z] = _ellipse(0.38, rng.uniform(0.45, 0.55), 0.119 * scale, 0.174 * scale)
            image[:, :, z][_ellipse(0.8, 0.25, 0.04, 0.04)] += 60
        image[label > 0] += 25
        for folder, values in (("imagesTr", image), ("labelsTr", label)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            path = root / folder / f"organ_{k:02d}.nii"
            nibabel.save(_image(values, np.diag([0.8, 0.8, 5.0, 1.0])), path)
        pair = {"image": f"./imagesTr/organ_{k:02d}.nii", "label": f"./labelsTr/organ_{k:02d}.nii"}
        training.append(pair)
    facts = {"name": "organ", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "organ"}}
    (root / "dataset.json").write_text(json.dumps({**facts, "training": training}), encoding="utf-8")
    return root


def _ellipse(x: float, y: float, width: float, height: float) -> np.ndarray:
    columns, rows = (axis / SIDE for axis in np.ogrid[:SIDE, :SIDE])
    return np.asarray(((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 1)


def _coverage(data: Path) -> Table:
    shares = json.loads((data / "card.json").read_text(encoding="utf-8"))["mask_shares"]
    return {
        "columns": [column("masks"), column("share of the image, mean", ".3f")],
        "rows": [[name, shares[name]["mean"]] for name in ("stored", "dilated")],
    }


def _scores(rows: list[list[Cell]]) -> Table:
    return {
        "columns": [
            column("method"),
            column("test AUC", ".3f"),
            column("background shuffled", ".3f"),
            column("organ shuffled", ".3f"),
            column("attribution inside", ".3f"),
            column("by chance", ".2f"),
            column("mask presence", ".2f"),
        ],
        "rows": rows,
    }


def _row(name: str, seeds: Sequence[Evaluated]) -> list[Cell]:
    audits = [{row.images: row.auc for row in one.evaluation.audit.rows} for one in seeds]
    inside = [one.evaluation.localisation.rows[0] for one in seeds]
    presence = [one.mask_presence.auc for one in seeds if one.mask_presence]
    return [
        name,
        mean_sd([one.evaluation.scores.auc or float("nan") for one in seeds]),
        mean_sd([audit["background shuffled"] for audit in audits]),
        mean_sd([audit["ROI shuffled"] for audit in audits]),
        mean_sd([row.mean for row in inside]),
        float(np.mean([row.chance for row in inside])),
        mean_sd(presence) if presence else None,
    ]
