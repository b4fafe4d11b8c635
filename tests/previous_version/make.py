"""Make what lies beside this file, with the version of activmask that is installed.

    python tests/previous_version/make.py

It was run once, with the last version whose settings were one flat object. Run it again only to
keep a later version in its turn: whatever it replaces can no longer be tested against.
"""

import json
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from activmask.runs.making import make_config
from activmask.runs.names import run_name
from activmask.runs.toml_file import read_config
from activmask.training.run import train

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from in_process import told  # noqa: E402
from kept_version import (  # noqa: E402
    EXPECTED,
    MADE,
    PICTURES,
    RUNS,
    TABLE_RUNS,
    TRAINED_ANEW,
    UNFINISHED,
    differences,
    flat_grids,
    flat_settings,
    look,
    raw_runs,
    result,
    table_settings,
)
from msd_files import Decathlon  # noqa: E402
from xray_files import Collections  # noqa: E402

WORKSHOP = Path("/tmp/activmask-previous-version")
"""Made and removed here; the artefacts name it as the place their data lay, which is gone wherever they are
tested, as data is that was moved together with its runs."""


def make() -> None:
    """Make everything anew."""
    shutil.rmtree(WORKSHOP, ignore_errors=True)
    WORKSHOP.mkdir()
    torch.set_num_threads(1)
    with chdir(WORKSHOP):
        _data_sets()
        _settings()
        _train()
        _expect()
        _thin_out()
    for name in (MADE, EXPECTED):
        shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.copytree(WORKSHOP / name, HERE / name)
    shutil.rmtree(WORKSHOP)


def _tell(*arguments: object) -> str:
    return str(told(*arguments, cwd=WORKSHOP / MADE).stdout)


def _data_sets() -> None:
    Path(MADE).mkdir()
    Path(EXPECTED).mkdir()
    flags = ("--n", 10, "--valid", 6, "--test", 8, "--correlation", 0.9, "--valid-correlation", 0.5)
    _tell("make-synthetic", *flags, "--seed", 3, "--out", "data/crosses")
    _folder(WORKSHOP / "raw/folder")
    _tell(
        "prepare-folder",
        WORKSHOP / "raw/folder/images",
        "--masks",
        WORKSHOP / "raw/folder/masks",
        "--labels",
        WORKSHOP / "raw/folder/labels.csv",
        "--out",
        "data/blobs",
    )
    task = _decathlon(WORKSHOP / "raw/Task03_Liver")
    _tell("prepare-msd", task.root, "--size", 24, "--workers", 1, "--out", "data/liver")
    shutil.copy(task.image("scan_003"), WORKSHOP / MADE)
    shutil.copy(task.label("scan_003"), WORKSHOP / MADE / "scan_003-label.nii.gz")
    made = Collections(WORKSHOP / "raw/xray", n=6)
    flags = ("--nih", made.nih, "--padchest", made.padchest, "--size", 22, "--workers", 1)
    _tell("prepare-xray", *flags, "--out", "data/xray")

    (WORKSHOP / MADE / "few").mkdir()
    for k in (18, 19, 20):
        shutil.copy(WORKSHOP / f"raw/folder/images/blob-{k}.png", WORKSHOP / MADE / "few")


def _folder(root: Path) -> None:
    """Three classes of blobs in noise, of several images a subject, some of them without a mask."""
    rng = np.random.default_rng(0)
    lines = ["file_name,label,subject,split"]
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for k in range(24):
        pixels = rng.integers(0, 90, (24, 24)).astype(np.uint8)
        top, left, side = int(rng.integers(2, 12)), int(rng.integers(2, 12)), 5 + 2 * (k % 3)
        pixels[top : top + side, left : left + side] += 120
        Image.fromarray(pixels).save(root / f"images/blob-{k:02d}.png")
        if k % 5:
            inside = np.zeros((24, 24), np.uint8)
            inside[top : top + side, left : left + side] = 255
            Image.fromarray(inside).save(root / f"masks/blob-{k:02d}.png")
        split = "train" if k < 12 else "valid" if k < 18 else "test"
        lines.append(
            f"blob-{k:02d}.png,{('small', 'middle', 'large')[k % 3]},s{k // 2 if k < 12 else k},{split}"
        )
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _decathlon(root: Path) -> Decathlon:
    """Eight volumes of 80 x 72 px and four slices in which the organ is a bright block with an outside."""
    task = Decathlon(root, "CT")
    for k in range(8):
        rng = np.random.default_rng(k)
        image = (rng.integers(-2, 3, (20, 18, 4)) * 40).astype(np.int16)
        label = np.zeros(image.shape, np.uint8)
        label[8 : 10 + k % 2, 7:9, 2:] = 1
        image[label > 0] += 100
        image, label = (one.repeat(4, axis=0).repeat(4, axis=1) for one in (image, label))
        task.case(f"scan_{k:03d}", image, label)
    return task


def _settings() -> None:
    """The dry runs as TOML, the names that the runs' folders would get, and the same of all paper's grids."""
    folder = WORKSHOP / MADE / "settings"
    folder.mkdir()
    known = {}
    for name, flags in {**RUNS, **TRAINED_ANEW, **TABLE_RUNS}.items():
        text = _tell("train", *flags.split(), "--dry-run")
        if name in RUNS:
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        config = make_config(**flat_settings(text))
        known[name] = {"run_name": run_name(config), **differences(text)}
    (folder / "plain.toml").write_text(_tell("train", "--dry-run"), encoding="utf-8")
    _write("settings.json", known)
    _write("grids.json", flat_grids())


def _train() -> None:
    trained = {}
    for name, flags in {**RUNS, **TRAINED_ANEW}.items():
        _tell("train", *flags.split(), "--out", f"runs/{name}")
        trained[name] = result(WORKSHOP / MADE / f"runs/{name}/seed-0")
    _write("trained.json", trained)
    for name in TRAINED_ANEW:
        shutil.rmtree(WORKSHOP / MADE / f"runs/{name}")
    _interrupt()
    (WORKSHOP / MADE / "own.toml").write_text(_OWN_GRID, encoding="utf-8")
    _tell("sweep", "own.toml", "--out", "runs/own", "--max-parallel", 1)


_OWN_GRID = """\
title = "A grid of one's own"
seeds = 1

[base]
data = "data/crosses"
model = "cnn"
width = 1
lr = 1e-3
epochs = 1
batch_size = 8
device = "cpu"
threads = 1

[axes.method]
"Classify" = {}
"Actdiff" = { actdiff = 1.0 }
"""


class _StopAfter:
    """Interrupts after so many epochs, as Ctrl-C does."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def step(self, seed: int, epoch: int, done: int, total: int) -> None:
        """Nothing to tell."""
        if self._left <= 0:
            raise KeyboardInterrupt

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """Count it."""
        self._left -= 1

    def note(self, sentence: str) -> None:
        """Nothing to tell."""


def _interrupt() -> None:
    with chdir(WORKSHOP / MADE):
        settings, _ = read_config(Path(f"settings/{UNFINISHED}.toml"))
        shutil.rmtree(f"runs/{UNFINISHED}")
        try:
            train(make_config(**settings), (0,), Path(f"runs/{UNFINISHED}"), progress=_StopAfter(2))
        except KeyboardInterrupt:
            return
    raise AssertionError("it was not interrupted")


def _expect() -> None:
    # Elsewhere the data is found under the name that the runs give it.
    place = (WORKSHOP / MADE).rename(WORKSHOP / "elsewhere")
    evaluated = {
        name: json.loads(told("evaluate", f"runs/{name}", "--epoch", "last", "--json", cwd=place).stdout)
        for name in RUNS
        if name != UNFINISHED
    }
    other = ("runs/cnn-actdiff/seed-0", "--data", "data/crosses", "--split", "valid", "--json")
    evaluated["on other data"] = json.loads(told("evaluate", *other, cwd=place).stdout)
    _write("evaluated.json", evaluated)
    _save("table.csv", told("table", "runs", "--format", "csv", cwd=place).stdout)
    raw_runs(place / "labels", table_settings(WORKSHOP / EXPECTED, place))
    _save("labels.csv", told("table", "labels", "--format", "csv", cwd=place).stdout)
    shutil.rmtree(place / "labels")
    _write("saliency.json", {name: look(place, *arguments) for name, arguments in PICTURES.items()})
    place.rename(WORKSHOP / MADE)


def _thin_out() -> None:
    """Remove what no test reads, so that the repository stays small."""
    made = WORKSHOP / MADE
    for preview in made.glob("data/*/preview.png"):
        preview.unlink()
    for state in made.glob("runs/**/state.safetensors"):
        if state.parent.parent.name != UNFINISHED:
            state.unlink()
    for checkpoint in made.glob("runs/own/**/*.safetensors"):
        checkpoint.unlink()
    for best in made.glob("runs/*/seed-*/best.safetensors"):
        if best.parent.name != "seed-0" or best.parent.parent.name not in {"cnn-actdiff", UNFINISHED}:
            best.unlink()


def _write(name: str, table: dict[str, object]) -> None:
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in table.items())
    _save(name, "{\n" + ",\n".join(lines) + "\n}\n")


def _save(name: str, text: str) -> None:
    (WORKSHOP / EXPECTED / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make()
