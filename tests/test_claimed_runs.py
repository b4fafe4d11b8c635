"""One process at a time trains a seed or sweeps into a folder; others train other seeds, and read."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from in_process import told
from test_sweep import Scripted, jobs_of, nobody

from activmask.experiments.jobs import run_job
from activmask.experiments.sweep import run_sweep
from activmask.ground.claims import InUse, claimed
from activmask.runs.claimed import claimed_seeds, claimed_sweep
from activmask.runs.folder import EVALUATIONS_FILE, FILES, read_history, seed_folder
from activmask.runs.making import make_config
from activmask.training.run import train

TINY = ("train", "--model", "cnn", "--width", 4, "--epochs", 1, "--threads", 1, "--out", "run")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def place(tmp_path, crosses):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "synthetic").symlink_to(crosses)
    return tmp_path


def test_a_seed_that_is_being_trained_is_refused_and_others_are_not(place):
    tiny = (*TINY, "--data", "data/synthetic")
    with claimed_seeds(place / "run", [0, 4], in_sweep=False):
        for more in ((), ("--resume",), ("--overwrite",), ("--seeds", "3,4")):
            refused = told(*tiny, *more, cwd=place, code=3).stderr
            assert f"is being written by process {os.getpid()} on " in refused
            assert refused.strip().endswith("wait for its end, or choose another place")
        told(*tiny, "--seeds", "1", cwd=place)
        told("table", "run", cwd=place)
        told("evaluate", "run", "--device", "cpu", cwd=place)
    assert names(place / "run") == ["seed-1"]
    assert names(place / "run" / "seed-1") == sorted((*FILES, EVALUATIONS_FILE))
    told(*tiny, "--seeds", "0,1", cwd=place)
    assert names(place / "run") == ["seed-0", "seed-1"]


def test_a_run_that_is_refused_leaves_no_folder(tmp_path):
    told("train", "--data", "nowhere", "--model", "cnn", cwd=tmp_path, code=3)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_half_written_is_removed_and_told(place):
    folder = place / "run" / "seed-0"
    folder.mkdir(parents=True)
    for name in (".state.safetensors.partial", ".metrics.json.partial", ".notes.txt.partial"):
        (folder / name).write_text("half")
    notes = told(*TINY, "--data", "data/synthetic", cwd=place).stderr
    for name in (".state.safetensors.partial", ".metrics.json.partial"):
        assert f"note: removed run/seed-0/{name}, left by a killed process\n" in notes
    assert names(folder) == sorted([".notes.txt.partial", *FILES])


def test_seeds_named_twice_are_claimed_once(tmp_path):
    with claimed_seeds(tmp_path / "run", [3, 3], in_sweep=False):
        assert names(tmp_path / "run") == [".seed-3.activmask-lock"]


def test_a_second_sweep_into_a_folder_is_refused_and_its_engine_closed(tmp_path):
    jobs, engine = jobs_of(tmp_path / "grid", 2), Scripted(1, {})
    with claimed_sweep(tmp_path / "grid", []):
        with pytest.raises(
            InUse, match=rf"the sweep {tmp_path}/grid is being written by process {os.getpid()}"
        ):
            run_sweep(jobs, engine, nobody)
        assert (engine.started, engine.closed) == ([], True)
    run_sweep(jobs, Scripted(1, {}), nobody)
    assert not list(tmp_path.iterdir())


def test_a_sweep_holds_its_folder_until_its_engine_is_closed(tmp_path):
    class Watching(Scripted):
        def close(self):
            with pytest.raises(InUse), claimed_sweep(tmp_path, []):
                pass
            super().close()

    engine = Watching(1, {})
    run_sweep(jobs_of(tmp_path, 1), engine, nobody)
    assert engine.closed


def test_a_cell_of_a_running_sweep_is_its_own_to_train(tmp_path):
    job = replace(jobs_of(tmp_path / "grid", 1)[0], config=make_config(data="nowhere", model="cnn"))
    other = tmp_path / "grid" / "other"
    with claimed_sweep(tmp_path / "grid", [job.folder.name, "queued"]):
        for name in (job.folder.name, "queued"):
            with pytest.raises(InUse, match=f"the sweep {tmp_path}/grid is being written by process"):
                train(job.config, out=tmp_path / "grid" / name)
        assert run_job(job).startswith("the data set folder nowhere does not exist")
        with claimed_seeds(other, [0], in_sweep=False):
            pass
    with claimed_seeds(job.folder, [0], in_sweep=False):
        assert f"the run {seed_folder(job.folder, 0)} is being written by process" in run_job(job)


def test_a_picture_and_a_table_are_written_by_one_process_at_a_time(place):
    told(*TINY, "--data", "data/synthetic", cwd=place)
    image = next((place / "data" / "synthetic" / "images").iterdir())
    commands = {
        "map.png": ("saliency", "run/seed-0/best.safetensors", image, "--out", "map.png", "--device", "cpu"),
        "t.csv": ("table", "run", "--format", "csv", "--out", "t.csv"),
    }
    for name, command in commands.items():
        (place / f".{name}.partial").write_text("half")
        with claimed(place / name, "file"):
            assert f"{name} is being written by process" in told(*command, cwd=place, code=3).stderr
        told(*command, cwd=place)
    assert names(place) == ["data", "map.png", "run", "t.csv"]


@pytest.mark.process
def test_of_two_processes_the_second_is_refused_until_the_first_is_dead(place):
    first, second = ([*TINY, "--data", "data/synthetic", "--overwrite", "--epochs", n] for n in (10_000, 2))
    command = [sys.executable, "-m", "activmask_cli.app", *map(str, first)]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        while "/10000 epochs" not in process.stderr.readline():
            assert process.poll() is None
        refused = told(*second, cwd=place, code=3).stderr
        assert f"the run run/seed-0 is being written by process {process.pid} on " in refused
        process.kill()
    told(*second, cwd=place)
    assert len(read_history(place / "run" / "seed-0")) == 2
    assert names(place / "run") == ["seed-0"]
    assert names(place / "run" / "seed-0") == sorted(FILES)
