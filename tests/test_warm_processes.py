"""One process for many cells: each comes out as from a process of its own, and takes no other with it."""

import json
import os
import random
import signal
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path

import numpy as np
import pytest
import torch
from held_processes import GIVE_UP

from activmask.experiments.cells import Cell
from activmask.experiments.jobs import Job, is_finished, make_jobs, run_job
from activmask.experiments.local_engine import LocalEngine
from activmask.ground.rebuilt import rebuilt
from activmask.machine.settings_kept import settings_kept
from activmask.runs.description import changed
from activmask.runs.folder import FILES, RUN_FILE, read_history
from activmask.runs.making import make_config

QUICK = {"width": 4, "lr": 1e-3, "epochs": 2, "device": "cpu"}
CELLS = {
    "actdiff": {"model": "cnn", "actdiff": 1.0, "threads": 1},
    "adversarial": {"model": "cnn", "adversarial": 1.0, "threads": 1},
}


def jobs_in(folder: Path, data: Path, **changes: object) -> list[Job]:
    cells = [
        Cell(labels={"n": name}, config=make_config(data=str(data), **{**QUICK, **cell, **changes}))
        for name, cell in CELLS.items()
    ]
    return make_jobs(cells, (0,), folder)


def done(engine: LocalEngine, job: Job) -> tuple[str, int]:
    """What became of a job, and the process that had it."""
    engine.start(job)
    process = engine._running[job.name].process.pid
    while True:
        for one in engine.ended(GIVE_UP):
            return one.error, process


def outcome(folder: Path) -> dict[str, object]:
    """Every byte that a seed left, but what tells times and places."""
    timed = {"seconds", "images_per_second"}
    found: dict[str, object] = {
        name: (folder / name).read_bytes()
        for name in FILES
        if name.endswith((".safetensors", "metrics.json")) and not name.startswith("state")
    }
    rows = [{name: row[name] for name in row if name not in timed} for row in read_history(folder)]
    return found | {"history": rows, "run": json.loads((folder / RUN_FILE).read_text())}


@pytest.mark.process
def test_cells_come_out_the_same_in_any_order_in_one_process(crosses, tmp_path):
    """The first of each order has a fresh process; they are those of this process too."""
    for order in (1, -1):
        engine = LocalEngine(1)
        try:
            found = [done(engine, job) for job in jobs_in(tmp_path / str(order), crosses)[::order]]
        finally:
            engine.close()
        assert [error for error, _ in found] == ["", ""]
        assert len({process for _, process in found}) == 1
    assert [run_job(job) for job in jobs_in(tmp_path / "here", crosses)] == ["", ""]
    for name in CELLS:
        one, other, here = (outcome(tmp_path / way / name / "seed-0") for way in ("1", "-1", "here"))
        assert one == other == here


@pytest.mark.process
def test_what_fails_or_is_killed_takes_its_process_alone(crosses, tmp_path):
    first, second = jobs_in(tmp_path, crosses)
    lost = replace(first, config=changed(first.config, data="nowhere"), name="lost", folder=tmp_path / "lost")
    endless = replace(first, config=changed(first.config, epochs=100_000), name="endless")
    engine = LocalEngine(2)
    try:
        engine.start(endless)
        beside = engine._running["endless"]
        # It stands still meanwhile, and what would end it would still do so.
        os.kill(beside.process.pid, signal.SIGSTOP)
        error, failed_in = done(engine, lost)
        assert error.startswith("the data set folder nowhere")
        error, process = done(engine, second)
        assert (error, process != failed_in) == ("", True)
        # Killed while it waits for work, it is replaced without a word.
        os.kill(process, signal.SIGKILL)
        engine._idle[0].process.join()
        again = replace(second, name="again", folder=tmp_path / "again")
        error, fresh = done(engine, again)
        assert (error, fresh != process) == ("", True)
        assert list(engine._running) == ["endless"]
        os.kill(beside.process.pid, signal.SIGCONT)
        connection.wait([beside.line], GIVE_UP)
        assert engine.ended(0) == []
        assert (beside.begun, beside.process.is_alive()) == (True, True)
        os.kill(beside.process.pid, signal.SIGKILL)
        assert [one.name for one in engine.ended(GIVE_UP)] == ["endless"]
        [idle] = [worker.process for worker in engine._idle]
    finally:
        engine.close()
    assert not idle.is_alive()
    assert is_finished(second)
    assert is_finished(again)


@pytest.mark.process
def test_another_number_of_threads_gets_a_process_of_its_own(crosses, tmp_path):
    [job, _] = jobs_in(tmp_path / "one", crosses, epochs=1)
    [two, _] = jobs_in(tmp_path / "two", crosses, epochs=1, threads=2)
    engine = LocalEngine(1)
    try:
        processes = [done(engine, one)[1] for one in (job, two)]
        # One slot has room for one process, also where it is idle.
        assert len(engine._idle) == 1
    finally:
        engine.close()
    assert len(set(processes)) == 2


def test_what_a_process_has_once_is_set_back():
    def drawn():
        return float(torch.rand(())), float(np.random.random()), random.random()  # noqa: NPY002

    with settings_kept():
        expected = drawn()
    threads = torch.get_num_threads()
    with settings_kept():
        torch.set_num_threads(threads + 1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002
        random.seed(3)
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cuda.matmul.allow_tf32
    assert drawn() == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, True), (int, 1.0), (float, 1), (str, None), (tuple[int, ...], ["1"]), (tuple[int, ...], 1)],
)
def test_values_of_another_type_are_refused(kind, value):
    with pytest.raises(ValueError, match="is no "):
        rebuilt(kind, value)


def test_values_come_back():
    assert rebuilt(tuple[float, ...] | None, [0.5, 1.0]) == (0.5, 1.0)
    assert rebuilt(tuple[float, ...] | None, None) is None
