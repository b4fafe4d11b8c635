"""`activmask sweep` as a user runs it: killed, resumed, wrong, planned."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from activmask_cli.app import app
from held_processes import held, last_words, started, wait_for
from in_process import told
from safetensors.torch import load_file
from typer.testing import CliRunner

from activmask.experiments.grid import NAMED

COMMAND = [sys.executable, "-m", "activmask_cli.app"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
QUICK = ("--set", "width=4", "--set", "lr=1e-3", "--device", "cpu")
GRID = """
seeds = 2
[base]
data = "synthetic"
model = "cnn"
width = 4
lr = 1e-3
epochs = 4
threads = 1
[axes.method]
"Classify" = {}
"Actdiff" = { actdiff = 1.0 }
"""


def run(*arguments: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def place(tmp_path, crosses) -> Path:
    (tmp_path / "own.toml").write_text(GRID.replace('"synthetic"', f"'{crosses}'"))
    return tmp_path


def outcome(folder: Path) -> tuple[object, ...]:
    with (folder / "history.csv").open() as file:
        rows = [
            {name: value for name, value in row.items() if name not in {"seconds", "images_per_second"}}
            for row in csv.DictReader(file)
        ]
    weights = {
        name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "best.safetensors").items()
    }
    return rows, (folder / "metrics.json").read_text(), weights


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_killed_at_any_moment_and_started_again_equals_the_straight_one(place):
    told("sweep", "own.toml", "--out", "straight", cwd=place)
    command = [*COMMAND, "sweep", "own.toml", "--out", "killed", "--max-parallel", "1"]
    with held(
        command, "os.rename", "actdiff/seed-1/history.csv$", times=2, cwd=place, env=ENVIRONMENT
    ) as process:
        process.kill()
        last_words(process)
    finished = place / "killed" / "classify" / "seed-0" / "metrics.json"
    stamp = finished.stat().st_mtime_ns
    assert not (place / "killed" / "actdiff" / "seed-1" / "metrics.json").exists()
    again = told("sweep", "own.toml", "--out", "killed", cwd=place)
    found = json.loads(told("sweep", "own.toml", "--out", "killed", "--json", cwd=place).stdout)["cells"]
    assert [(one["cell"], one["status"], one["done_before"]) for one in found] == [
        ("Classify", "done", True),
        ("Actdiff", "done", True),
    ]
    assert "2 of 2 cells are done (1 of them was before), 0 failed" in again.stdout
    assert finished.stat().st_mtime_ns == stamp
    for cell in ("classify", "actdiff"):
        for seed in ("seed-0", "seed-1"):
            assert outcome(place / "killed" / cell / seed) == outcome(place / "straight" / cell / seed)


@pytest.mark.usefixtures("inline_sweeps")
def test_a_failed_cell_is_reported_at_the_end_and_the_exit_code_is_4(place):
    (place / "own.toml").write_text(
        GRID.replace("{}", "{ data = 'nowhere' }").replace("epochs = 4", "epochs = 1")
    )
    done = told("sweep", "own.toml", "--seeds", "1", cwd=place, code=4)
    assert "Classify: failed, will be tried again" in done.stderr
    assert "failed twice: Classify: the data set folder nowhere" in done.stderr
    assert "1 of 2 cells are done, 1 failed" in done.stdout
    assert (place / "runs" / "own" / "actdiff" / "seed-0" / "metrics.json").exists()


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
@pytest.mark.parametrize("moment", ["starting", "training"])
def test_ctrl_c_leaves_a_sweep_that_goes_on(place, moment):
    command = [*COMMAND, "sweep", "own.toml", "--epochs", "100000"]
    begun = (
        started(command, cwd=place, env=ENVIRONMENT)
        if moment == "starting"
        else held(command, "os.rename", "history.csv$", halts=False, cwd=place, env=ENVIRONMENT)
    )
    with begun as process:
        if moment == "starting":
            wait_for(process, "running")
        os.killpg(process.pid, signal.SIGINT)
        said = last_words(process)
    assert process.returncode == 130
    assert "the same command again finishes what is missing" in said
    assert "Traceback" not in said
    told("sweep", "own.toml", "--epochs", "2", cwd=place)


@pytest.mark.parametrize(
    ("name", "cells", "runs"),
    [pytest.param("table1", 22, 220, marks=pytest.mark.process), ("figure5", 5, 50)],
)
def test_a_dry_run_counts_cells_and_runs_and_trains_nothing(tmp_path, name, cells, runs):
    done = told(
        "sweep", name, "--dry-run", "--device", "cpu", *(QUICK[:4] if name == "table1" else ()), cwd=tmp_path
    )
    assert f"{cells} cells, {runs} runs" in done.stdout
    assert list(tmp_path.iterdir()) == []
    if name == "figure5":
        assert "not measured: the data set folder data/xray" in done.stderr
    else:
        assert "about 0 s" not in done.stdout


@pytest.mark.process
def test_the_papers_grid_runs_as_one_line(tmp_path):
    done = run(
        "sweep",
        "table1",
        "--models",
        "cnn",
        "--methods",
        "classify,actdiff-gradmask",
        "--epochs",
        "1",
        "--seeds",
        "2",
        *QUICK,
        cwd=tmp_path,
    )
    folders = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("metrics.json"))
    assert folders == [
        f"runs/table1/cnn-{method}/seed-{seed}/metrics.json"
        for method in ("actdiff-gradmask-released", "classify")
        for seed in (0, 1)
    ]
    assert "next: activmask table runs/table1" in done.stderr
    assert "best epoch by validation accuracy" in done.stderr


def test_forms_are_chosen_in_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    titles: list[str] = []
    monkeypatch.setattr(
        "activmask_cli.sweep.print_plan", lambda _, jobs, __: titles.extend(j.title for j in jobs) or True
    )
    arguments = ["sweep", "table1", "--models", "resnet", "--methods", "classify,actdiff", "--dry-run"]
    for forms in ("released", "written,ours", "all"):
        assert CliRunner().invoke(app, [*arguments, "--forms", forms]).exit_code == 0
    classify, released = "ResNet Classify", "ResNet Actdiff (released form)"
    others = ["ResNet Actdiff (form as written)", "ResNet Actdiff (ours)"]
    assert titles == [classify, released, classify, *others, classify, released, *others]


def test_figure6_says_which_number_of_seeds_it_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("activmask_cli.sweep.print_plan", lambda *_: True)
    done = CliRunner().invoke(app, ["sweep", "figure6", "--dry-run"])
    assert "5 seeds in its text and 10 in the captions" in done.stderr.replace("\n", " ")


def test_seeds_are_a_count_or_a_choice(tmp_path):
    for text, seeds in (("2", "2"), ("3-5", "3"), ("1,7", "2")):
        flags = ("--methods", "classify-no-spc", "--seeds", text, "--dry-run")
        assert f"1 cell, {seeds} runs; " in told("sweep", "figure5", *flags, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("table3",), "did you mean 'table"),
        (("table1", "--models", "vgg"), "there is no model 'vgg'"),
        (("table1", "--methods", "Gradmusk"), "did you mean 'gradmask'"),
        (("figure5", "--models", "unet"), "has no model to choose from"),
        (("table1", "--forms", "relaesed"), "did you mean 'released'"),
        (("table1", "--set", "widht=3"), "did you mean 'width'"),
        (("table1", "--set", "width"), "name=value"),
        (("table1", "--seeds", "0"), "the number of seeds must be from 1 to 10,000; found 0"),
        (("table1", "--seeds", "x"), "seeds are numbers"),
        (("table1", "--address", "auto"), "--engine ray"),
        (("table2", "--data", "lung"), "there is no data 'lung'"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, arguments, sentence):
    done = told("sweep", *arguments, cwd=tmp_path, code=2)
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_named_grids_are_named_in_the_help(tmp_path):
    text = told("sweep", "--help", cwd=tmp_path).stdout
    assert all(name in text for name in NAMED)
