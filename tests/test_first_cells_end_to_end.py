"""JTT and DFR of a grid's own cells through the real program: killed, gone on with, selected, reported."""

import json
import os
import sys
from pathlib import Path

import pytest
from held_processes import held, last_words
from in_process import told
from safetensors.torch import load_file

GRID = """
name = "rivals"
seeds = 2
[base]
model = "cnn"
width = 2
lr = 1e-2
batch_size = 8
epochs = 2
device = "cpu"
threads = 1
[quick]
epochs = 1
[axes.data]
"Crosses" = { data = "sets/crosses" }
[sets."Crosses"]
of = "crosses"
n = 16
valid = 16
test = 8
size = 20
plant = { shortcut = "box", of_class = "one cross", share = 0.75, valid_share = 0.75, size = 0.15 }
[axes.method]
"JTT" = { upweight_errors_of = { cell = "Classify, short" }, upweight = 3.0 }
"DFR" = { retrain_head = { cell = "Classify" }, groups = "shortcut" }
"Classify" = {}
"Classify, short" = { epochs = { share = 0.5 } }
"""
CELLS = ("jtt", "dfr", "classify", "classify-short")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}


def finished(folder: Path) -> set[str]:
    return {path.relative_to(folder).parts[0] for path in folder.glob("*/seed-1/metrics.json")}


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_what_begins_with_another_cell_is_killed_goes_on_and_is_reported(tmp_path):
    (tmp_path / "rivals.toml").write_text(GRID, encoding="utf-8")
    planned = told("sweep", "rivals.toml", "--dry-run", cwd=tmp_path)
    assert "4 cells, 8 runs" in planned.stdout
    assert planned.stderr.count("not measured") == 0
    assert not (tmp_path / "runs").exists()

    command = [sys.executable, "-m", "activmask_cli.app", "sweep", "rivals.toml", "--max-parallel", "2"]
    place = "crosses-jtt/seed-0/history.csv$"
    with held(command, "os.rename", place, cwd=tmp_path, env=ENVIRONMENT) as process:
        process.kill()
        last_words(process)
    runs = tmp_path / "runs/rivals"
    assert {"crosses-classify-short"} <= finished(runs) <= {f"crosses-{name}" for name in CELLS[1:]}
    again = told("sweep", "rivals.toml", cwd=tmp_path)
    assert "4 of 4 cells are done" in again.stdout
    assert "(4 of them were before)" in told("sweep", "rivals.toml", cwd=tmp_path).stdout
    told("sweep", "rivals.toml", "--out", "straight", cwd=tmp_path)
    for name in CELLS:
        for seed in ("seed-0", "seed-1"):
            one, other = (
                load_file(folder / f"crosses-{name}/{seed}/best.safetensors")
                for folder in (runs, tmp_path / "straight")
            )
            assert all(one[key].equal(other[key]) for key in one)
    settings = json.loads((runs / "crosses-jtt/seed-1/run.json").read_text(encoding="utf-8"))["config"]
    assert settings["upweight_errors_of"] == "runs/rivals/crosses-classify-short"

    rows = json.loads(told("table", "runs/rivals", "--json", cwd=tmp_path).stdout)["rows"]
    baselines = {Path(row["folder"]).name: row["baseline"] for row in rows}
    assert baselines["crosses-classify-short"] is None
    for name in ("crosses-jtt", "crosses-dfr"):
        assert baselines[name]["folder"] == "runs/rivals/crosses-classify"
    told("evaluate", "runs/rivals/crosses-jtt", "runs/rivals/crosses-dfr", cwd=tmp_path)
    told("report", "runs/rivals", "--out", "page", "--device", "cpu", cwd=tmp_path)
    page = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    for words in ("errors of a first run counted more (JTT)", "last layer retrained (DFR)"):
        assert words in page

    # Without the cell that it begins with, which is finished there or is not.
    for out, code in (("runs/rivals", 0), ("elsewhere", 2)):
        for more in ((), ("--dry-run",)):
            done = told(
                *("sweep", "rivals.toml", "--methods", "jtt", "--out", out, *more), cwd=tmp_path, code=code
            )
            asked = "Crosses JTT begins with the finished run of Crosses Classify, short, which elsewhere/"
            assert (asked in done.stderr.replace("\n", " ")) == bool(code)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_what_begins_with_a_run_that_diverges_is_not_run(tmp_path):
    grid = GRID.replace('"Classify" = {}', '"Classify" = { lr = 1e30 }').replace("seeds = 2", "seeds = 1")
    (tmp_path / "rivals.toml").write_text(grid, encoding="utf-8")
    done = told("sweep", "rivals.toml", "--methods", "classify,dfr", cwd=tmp_path, code=4)
    said = done.stderr.replace("\n", " ")
    assert "failed twice: Crosses Classify: " in said
    assert "not run: Crosses DFR: it begins with the finished run of Crosses Classify, which failed" in said
    assert "0 of 2 cells are done, 1 failed, 1 not run" in done.stdout
    cells = json.loads(
        told("sweep", "rivals.toml", "--methods", "dfr,classify", "--json", cwd=tmp_path, code=4).stdout
    )
    assert {one["cell"]: one["status"] for one in cells["cells"]} == {
        "Crosses DFR": "not run",
        "Crosses Classify": "failed",
    }
