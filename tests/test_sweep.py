"""Sweeps: what is started, tried again, given up; and the local engine's real processes."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from held_processes import GIVE_UP

from activmask.experiments.cells import Cell
from activmask.experiments.estimate import epochs_left, seconds_per_epoch
from activmask.experiments.jobs import Ended, Job, is_finished, make_jobs, progress_of, run_job
from activmask.experiments.local_engine import LocalEngine, Place
from activmask.experiments.sweep import run_sweep
from activmask.runs.description import changed
from activmask.runs.making import make_config

QUICK = {"data": "synthetic", "model": "cnn", "width": 4, "lr": 1e-3, "epochs": 1, "threads": 1}


class Scripted:
    """An engine that runs nothing and fails as told."""

    def __init__(self, slots: int, failures: dict[str, int]) -> None:
        self.slots, self.failures = slots, dict(failures)
        self.started: list[str] = []
        self.running: list[str] = []
        self.most = 0
        self.closed = False

    def start(self, job: Job) -> None:
        self.started.append(job.name)
        self.running.append(job.name)
        self.most = max(self.most, len(self.running))

    def ended(self, seconds: float) -> list[Ended]:
        name = self.running.pop(0)
        left = self.failures.get(name, 0)
        self.failures[name] = left - 1
        return [Ended(name=name, error="boom" if left > 0 else "")]

    def close(self) -> None:
        self.closed = True


def jobs_of(tmp_path, count: int, **settings) -> list[Job]:
    cells = [
        Cell(labels={"n": f"cell {n}"}, config=make_config(**{**QUICK, **settings})) for n in range(count)
    ]
    return make_jobs(cells, (0,), tmp_path)


def nobody(cells) -> None:
    """Watch nothing."""


def test_a_failure_is_tried_again_once_at_the_end_and_the_others_go_on(tmp_path):
    engine = Scripted(2, {"cell-0": 1, "cell-2": 5})
    states = run_sweep(jobs_of(tmp_path, 4), engine, nobody)
    assert [(state.status, state.failures) for state in states] == [
        ("done", 1),
        ("done", 0),
        ("failed", 2),
        ("done", 0),
    ]
    assert states[2].error == "boom"
    assert engine.started == ["cell-0", "cell-1", "cell-2", "cell-3", "cell-0", "cell-2"]
    assert engine.most == 2
    assert engine.closed


def test_ctrl_c_closes_the_engine(tmp_path):
    engine = Scripted(1, {})

    def stop(cells) -> None:
        if engine.started:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(jobs_of(tmp_path, 2), engine, stop)
    assert engine.closed


def test_finished_cells_are_not_started(tmp_path):
    jobs = jobs_of(tmp_path, 2)
    assert run_job(jobs[0]) == ""
    engine = Scripted(2, {})
    states = run_sweep(jobs, engine, nobody)
    assert engine.started == ["cell-1"]
    assert [state.found for state in states] == [True, False]


def test_finished_means_every_seed_under_the_same_settings(tmp_path):
    [job] = jobs_of(tmp_path, 1)
    assert not is_finished(job)
    run_job(job)
    assert is_finished(job)
    assert is_finished(replace(job, config=changed(job.config, threads=2)))
    assert not is_finished(replace(job, seeds=(0, 1)))
    assert not is_finished(replace(job, config=changed(job.config, epochs=2)))
    assert not is_finished(replace(job, config=changed(job.config, lr=0.5)))
    (job.folder / "seed-0" / "metrics.json").write_text("{}")
    assert not is_finished(job)


def test_another_experiment_in_the_folder_is_an_error_and_stays(tmp_path):
    [job] = jobs_of(tmp_path, 1)
    run_job(job)
    before = (job.folder / "seed-0" / "metrics.json").read_bytes()
    error = run_job(replace(job, config=changed(job.config, lr=0.5)))
    assert "other settings (lr was " in error
    assert error.startswith(f"{job.folder}/seed-0 holds a finished run")
    elsewhere = run_job(replace(job, config=changed(job.config, lr=0.5)), known_as=Path("/elsewhere/cell"))
    assert elsewhere == error.replace(str(job.folder), "/elsewhere/cell")
    assert (job.folder / "seed-0" / "metrics.json").read_bytes() == before


def test_a_defect_comes_back_as_its_traceback(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("activmask.experiments.jobs.train", broken)
    [job] = jobs_of(tmp_path, 1)
    assert "ZeroDivisionError: a defect" in run_job(job)


def test_progress_is_read_from_the_folder(tmp_path):
    [job] = jobs_of(tmp_path, 1, epochs=3)
    assert (progress_of(job).epochs, progress_of(job).valid_auc) == (0, None)
    assert epochs_left(job) == 3
    run_job(replace(job, config=changed(job.config, epochs=2)))
    progress = progress_of(job)
    assert progress.epochs == 2
    assert 0 <= progress.valid_auc <= 1
    assert epochs_left(job) == 1


def test_an_estimate_writes_nothing(tmp_path):
    [job] = jobs_of(tmp_path, 1)
    assert seconds_per_epoch(job) > 0
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_of_one_step_can_be_estimated(tmp_path):
    [job] = jobs_of(tmp_path, 1, batch_size=512)
    assert seconds_per_epoch(job) > 0


@pytest.mark.process
def test_processes_train_and_a_killed_one_is_told(tmp_path):
    jobs = jobs_of(tmp_path, 2, epochs=2)
    long = replace(jobs[0], config=changed(jobs[0].config, epochs=100_000))
    engine = LocalEngine(2)
    try:
        engine.start(long)
        engine.start(jobs[1])
        ended = {}
        while "cell-1" not in ended:
            ended |= {one.name: one.error for one in engine.ended(GIVE_UP)}
        [process] = [worker.process for worker in engine._running.values()]
        os.kill(process.pid, signal.SIGKILL)
        ended |= {one.name: one.error for one in engine.ended(GIVE_UP)}
    finally:
        engine.close()
    assert ended["cell-1"] == ""
    assert "killed (signal 9)" in ended["cell-0"]
    assert is_finished(jobs[1])


@pytest.mark.process
def test_a_job_that_fails_sends_its_sentence_back(tmp_path):
    engine = LocalEngine(1)
    try:
        engine.start(jobs_of(tmp_path, 1, data="nowhere")[0])
        [one] = engine.ended(GIVE_UP)
    finally:
        engine.close()
    assert one.error.startswith("the data set folder nowhere")


@pytest.mark.process
def test_closing_stops_what_runs(tmp_path):
    [job] = jobs_of(tmp_path, 1, epochs=100_000)
    engine = LocalEngine(1)
    engine.start(job)
    [process] = [worker.process for worker in engine._running.values()]
    engine.close()
    assert not process.is_alive()
    assert engine.ended(0) == []


def busy_on(gpu: str) -> Any:
    return SimpleNamespace(place=Place(gpu, 1))


def test_gpus_take_turns():
    engine = LocalEngine(4, gpus=("3", "5"))
    engine._running = {"a": busy_on("3")}
    assert engine._idlest_gpu() == "5"
    engine._running |= {"b": busy_on("5")}
    assert engine._idlest_gpu() == "3"
    assert LocalEngine(2)._idlest_gpu() is None


@pytest.mark.process
def test_waiting_returns_after_its_time(tmp_path):
    engine = LocalEngine(1)
    [job] = jobs_of(tmp_path, 1, epochs=100_000)
    try:
        engine.start(job)
        assert engine.ended(0.2) == []
        [process] = [worker.process for worker in engine._running.values()]
        assert process.is_alive()
    finally:
        engine.close()


def test_a_damaged_history_counts_as_not_begun(tmp_path):
    [job] = jobs_of(tmp_path, 1)
    run_job(job)
    history = job.folder / "seed-0" / "history.csv"
    for text in ("epoch,valid_auc\n0,much\n", "epoch\n0\n"):
        history.write_text(text)
        assert progress_of(job).epochs == 0
