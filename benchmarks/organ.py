"""The paper's methods for volumes on one simulated organ: are they still different methods?

    python -m benchmarks.organ work/organ --epochs 12 --seeds 2

writes a task of CT volumes of 512 px in which the organ is an ellipse of liver's size (its slices
also show a brighter spine, which is no part of it), prepares it as the preset `liver` asks, trains
every method below for each seed, and prints what the masks cover and a Markdown table of test
scores, mean ± standard deviation over seeds.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from activmask.data.sources.msd.prepare import prepare_msd
from activmask.evaluation.batch import Evaluated, evaluate_checkpoint
from activmask.evaluation.spread import spread
from activmask.runs.making import make_config
from activmask.training.run import train

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare, train what is not there yet, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.organ", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--volumes", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--width", type=int, default=8)
    given = parser.parse_args(arguments)
    data = given.folder / "data"
    if not data.exists():
        prepare_msd(write_task(given.folder / "Task03_Liver", given.volumes), data)
    shares = json.loads((data / "card.json").read_text(encoding="utf-8"))["mask_shares"]
    for name in ("stored", "dilated"):
        print(f"{name} masks cover {shares[name]['mean']:.3f} of the image on average")
    print(
        "| | test AUC | background shuffled | organ shuffled | attribution inside (chance) | mask presence |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, method in METHODS.items():
        config = make_config(
            preset="liver",
            data=str(data),
            model="cnn",
            width=given.width,
            epochs=given.epochs,
            split_ratio="50/25/25",
            train_images=0,
            valid_images=0,
            test_images=0,
            lr=1e-3,
            threads=1,
            device="cpu",
            **method,
        )
        results = train(config, range(given.seeds), given.folder / name.replace(", ", "-").replace(" ", "-"))
        print(_row(name, [evaluate_checkpoint(one.folder / "best.safetensors") for one in results]))


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


def _row(name: str, seeds: Sequence[Evaluated]) -> str:
    audits = [{row.images: row.auc for row in one.evaluation.audit.rows} for one in seeds]
    inside = [one.evaluation.localisation.rows[0] for one in seeds]
    cells = [
        _spread([one.evaluation.scores.auc or float("nan") for one in seeds]),
        _spread([audit["background shuffled"] for audit in audits]),
        _spread([audit["ROI shuffled"] for audit in audits]),
        f"{_spread([row.mean for row in inside])} ({np.mean([row.chance for row in inside]):.2f})",
        ", ".join(sorted({f"{one.mask_presence.auc:.2f}" for one in seeds if one.mask_presence})) or "-",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    found = spread(values)
    assert found is not None, "every seed has the measure"
    return f"{found.mean:.3f} ± {found.sd or 0:.3f}"


if __name__ == "__main__":
    main()
