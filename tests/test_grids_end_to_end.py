"""The paper's four grids, much reduced, from one command line to a page, on data in their own shape."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from in_process import told

from activmask.data.writer import Record, write_dataset

SIDE = 28
QUICK = ("--seeds", "2", "--epochs", "2", "--device", "cpu", "--set", "width=4", "--set", "threads=1")
SMALL = [f"--set={split}_images=8" for split in ("train", "valid", "test")]
CROSSES = "data/synthetic"
"""On disk: a benchmark that is drawn has 500 images to train on."""
GRIDS = {
    "table1": (
        ("--data", CROSSES, "--models", "conv-ae", "--methods", "classify,reconstruct-masked"),
        2,
        "figure-7-synthetic",
    ),
    "table2": (
        ("--data", "liver=elsewhere/liver,pancreas", "--models", "unet", "--methods", "classify,actdiff"),
        4,
        "figure-4-liver",
    ),
    "figure5": (("--methods", "classify-no-spc,actdiff-spc"), 2, "figure-5b-xray"),
    "figure6": (("--data", f"synthetic={CROSSES}", "--models", "unet"), 5, "figure-6-synthetic"),
}


def slices(n: int, sites: tuple[str, ...]):
    """Two images a subject, the positive ones with a bright block and its mask."""
    for number in range(n):
        rng = np.random.default_rng(number)
        label = number % 2
        image = rng.integers(0, 120, (SIDE, SIDE), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[8:16, 6:14] = label == 1
        image[mask] += 100
        subject, site = number // 2, sites[number // 2 % len(sites)]
        yield Record(
            name=f"image-{number:03d}",
            image=image,
            mask=mask if label else None,
            label=label,
            subject=f"subject {subject}",
            site=site,
            split="",
        )


def prepare(place: Path, crosses: Path) -> None:
    shutil.copytree(crosses, place / CROSSES)
    for folder in ("elsewhere/liver", "data/pancreas"):
        write_dataset(place / folder, slices(64, ("",)), card={"command": "a test"})
    write_dataset(place / "data/xray", slices(160, ("NIH", "PadChest")), card={"command": "a test"})


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_of_the_paper_runs_resumes_and_reports(crosses, tmp_path, grid):
    prepare(tmp_path, crosses)
    part, cells, figure = GRIDS[grid]
    size = {
        "table2": ("--set=image_size=24", "--set=mask_blur=0.5", *SMALL),
        "figure5": (f"--set=image_size={SIDE}",),
    }.get(grid, ())
    command = ("sweep", grid, *part, *QUICK, *size)
    assert f"{cells} of {cells} cells are done, 0 failed" in told(*command, cwd=tmp_path).stdout
    assert f"({cells} of them were before)" in told(*command, cwd=tmp_path).stdout
    assert len(list(tmp_path.glob(f"runs/{grid}/*/seed-*/metrics.json"))) == 2 * cells
    table = told("table", f"runs/{grid}", "--format", "csv", cwd=tmp_path).stdout
    assert len(table.strip().splitlines()) == 1 + cells
    told("report", f"runs/{grid}", "--out", "page", "--device", "cpu", cwd=tmp_path)
    assert (tmp_path / "page" / "figures" / f"{figure}.svg").is_file()
