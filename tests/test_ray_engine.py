"""Sweeps on a real Ray cluster: workers and nodes that die, nodes that do not see the sweep's folder."""

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from held_processes import GIVE_UP
from inline_engine import InlineEngine
from safetensors.torch import load_file
from scripted_search import plan_of

from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.experiments import ray_engine
from activmask.experiments import sweep as sweep_module
from activmask.experiments.cells import grid_cells
from activmask.experiments.grid import Grid
from activmask.experiments.jobs import Job, is_finished, make_jobs, run_job
from activmask.experiments.ray_engine import BEACON_FILE, RayEngine, SentJob, write_files
from activmask.experiments.sweep import CellState, run_sweep
from activmask.ground.errors import DataError
from activmask.ground.processes import join_ray
from activmask.runs.description import changed
from activmask.runs.folder import read_written
from activmask.tuning.search import run_search

ray = pytest.importorskip("ray", reason="Ray cannot be installed here")
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="this Ray comes without its cluster utility")

GRID = Grid(
    name="tiny",
    title="tiny",
    seeds=1,
    base={"data": "synthetic", "model": "cnn", "width": 4, "lr": 1e-3, "epochs": 3, "threads": 1},
    axes={"method": {"classify": {}, "actdiff": {"actdiff": 1.0}}},
)
TIMES = {"seconds", "images_per_second"}


@pytest.fixture(scope="module")
def cluster():
    """A head that only directs, and one node for one job."""
    with pytest.MonkeyPatch.context() as patch:
        # Ray's workers give way to everybody else, and beside other tests import torch for minutes.
        patch.setenv("RAY_worker_niceness", "0")
        cluster = cluster_utils.Cluster()
        # Its port for the dashboard's agent is the same in every cluster, unless it is 0.
        add_node(cluster, num_cpus=0, include_dashboard=False, dashboard_agent_listen_port=0)
        add_node(cluster)
        yield cluster
        cluster.shutdown()


def add_node(cluster, **settings: object) -> None:
    """Start a node, however long that takes: by itself Ray waits for half a minute."""
    cluster.add_node(wait=False, **{"num_cpus": 1, **settings})
    cluster.wait_for_nodes(timeout=GIVE_UP)


def jobs_in(folder: Path, *, seeds: tuple[int, ...] = (0,), **settings: object) -> list[Job]:
    return make_jobs(grid_cells(GRID, settings=settings), seeds, folder)


def nobody(cells: object) -> None:
    """Watch nothing."""


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same(one: Path, other: Path) -> None:
    untimed = [
        [{name: value for name, value in row.items() if name not in TIMES} for row in rows(folder)]
        for folder in (one, other)
    ]
    assert untimed[0] == untimed[1]
    assert (one / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()
    ours, theirs = load_file(one / "best.safetensors"), load_file(other / "best.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)


def workers_of(node) -> list[int]:
    """Process ids of the node's workers that run a job."""
    import psutil  # Ray brings it along

    found = []
    for child in psutil.Process(node.all_processes["raylet"][0].process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if any("work_on_node" in part for part in child.cmdline()):
                found.append(child.pid)
    return found


def halting_after_an_epoch():
    """The engine's function, which on a new job halts before its second epoch is noted, to be killed."""

    # Ray sends a function within a function as it is; one of this module the nodes would have to import.
    def work_on_node(task):
        import signal
        import sys

        from activmask.experiments import ray_engine

        noted = []

        def halt(event, arguments):
            if event == "os.rename" and str(arguments[1]).endswith("history.csv"):
                noted.append(event)
                while len(noted) > 1:
                    signal.pause()

        if not task.job.folder.exists():
            sys.addaudithook(halt)
        return ray_engine.work_on_node(task)

    return work_on_node


class Saboteur:
    """Kills the first cell's worker and the second cell's node, each in the middle of training."""

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.begun: dict[Path, dict[str, str]] = {}

    def __call__(self, cells: list[CellState]) -> None:
        for state, harm in zip(cells, (self.kill_worker, self.lose_node), strict=True):
            folder = state.job.folder / "seed-0"
            if folder not in self.begun and (folder / "history.csv").exists():
                self.begun[folder] = rows(folder)[0]
                harm()

    def kill_worker(self) -> None:
        [pid] = [pid for node in self.cluster.list_all_nodes() for pid in workers_of(node)]
        os.kill(pid, signal.SIGKILL)

    def lose_node(self) -> None:
        [node] = [node for node in self.cluster.list_all_nodes() if workers_of(node)]
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.mark.process
def test_a_killed_worker_and_a_lost_node_change_nothing(cluster, crosses, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_module, "_TICK", 0.05)
    run_sweep(jobs_in(tmp_path / "local", data=str(crosses)), InlineEngine(), nobody)
    add_node(cluster)
    engine = RayEngine(cluster.address, 1, device="auto")
    engine._work = ray.remote(max_calls=1)(halting_after_an_epoch())
    saboteur = Saboteur(cluster)
    states = run_sweep(jobs_in(tmp_path / "ray", data=str(crosses)), engine, saboteur)
    assert [(state.status, state.error) for state in states] == [("done", ""), ("done", "")]
    assert len(saboteur.begun) == 2
    assert len(cluster.list_all_nodes()) == 2
    for folder, first in saboteur.begun.items():
        assert rows(folder)[0] == first, "an epoch was trained twice"
        assert_same(folder, tmp_path / "local" / folder.relative_to(tmp_path / "ray"))
    assert not list(tmp_path.rglob(BEACON_FILE))
    assert not ray.is_initialized()


def keeps_workers(engine: RayEngine) -> RayEngine:
    """That engine, one process of which has job after job: each that starts imports torch for seconds."""
    engine._work = ray.remote(ray_engine.work_on_node)
    return engine


def ended(engine: RayEngine, job: Job) -> str:
    """Run one job to its end and give its error."""
    engine.start(job)
    while not (over := engine.ended(60)):
        pass
    assert [one.name for one in over] == [job.name]
    return over[0].error


@pytest.mark.process
def test_a_node_that_does_not_see_the_folder_sends_its_files_back(cluster, crosses, tmp_path, monkeypatch):
    job = jobs_in(tmp_path / "ray", data=str(crosses), epochs=2)[0]
    local = replace(job, folder=tmp_path / "local", seeds=(0, 1))
    assert run_job(local) == ""
    monkeypatch.setattr(RayEngine, "_beacon", lambda engine, folder: "left nowhere")
    engine = keeps_workers(RayEngine(cluster.address, None, device="cpu"))
    try:
        assert ended(engine, job) == ""
        assert is_finished(job)
        first = (job.folder / "seed-0" / "history.csv").read_bytes()
        assert ended(engine, replace(job, seeds=(0, 1))) == ""
        assert (job.folder / "seed-0" / "history.csv").read_bytes() == first, "trained twice"
        error = ended(engine, replace(job, config=changed(job.config, lr=0.5)))
    finally:
        engine.close()
    assert error.startswith(f"{job.folder / 'seed-0'} holds a finished run with other settings (lr was ")
    for seed in ("seed-0", "seed-1"):
        assert_same(job.folder / seed, local.folder / seed)
        assert sorted(path.name for path in (job.folder / seed).iterdir()) == sorted(
            path.name for path in (local.folder / seed).iterdir()
        )


@pytest.mark.process
def test_a_search_on_a_cluster_has_the_trials_and_runs_of_one_on_this_machine(cluster, crosses, tmp_path):
    plan = plan_of(
        tmp_path,
        trials=2,
        seeds=(0,),
        settings={"data": str(crosses), "epochs": 1, "device": "cpu", "threads": 1},
    )
    plans = {name: replace(plan, folder=tmp_path / name) for name in ("local", "ray")}
    local = run_search(plans["local"], InlineEngine(), nobody)
    trials = run_search(plans["ray"], RayEngine(cluster.address, 1, device="cpu"), nobody)
    assert [(one.status, one.values, one.scores, one.error) for one in trials] == [
        (one.status, one.values, one.scores, "") for one in local
    ]
    assert [one.status for one in trials] == ["done", "done"]
    assert len({one.values["lr"] for one in trials}) == 2
    for ours, theirs in zip(trials, local, strict=True):
        assert_same(ours.folder / "seed-0", theirs.folder / "seed-0")
        told = [read_written(one.folder / "seed-0").searched for one in (ours, theirs)]
        assert told[0] == told[1] is not None
    assert not list(tmp_path.rglob(BEACON_FILE))
    assert not ray.is_initialized()


@pytest.mark.process
def test_a_node_that_does_not_see_the_folder_is_sent_the_run_that_a_job_begins_with(
    cluster, crosses, tmp_path, monkeypatch
):
    method = {"first": {"epochs": 1}, "jtt": {"epochs": 2, "upweight_errors_of": {"cell": "first"}}}
    cells = grid_cells(replace(GRID, axes={"method": method}), settings={"data": str(crosses)})
    monkeypatch.setattr(RayEngine, "_beacon", lambda engine, folder: "left nowhere")
    engine = keeps_workers(RayEngine(cluster.address, None, device="cpu"))
    try:
        for place, run in (("local", run_job), ("ray", lambda job: ended(engine, job))):
            assert [run(job) for job in make_jobs(cells, (0,), tmp_path / place)] == ["", ""]
    finally:
        engine.close()
    first, jtt = make_jobs(cells, (0,), tmp_path / "ray")
    assert is_finished(jtt)
    assert_same(jtt.folder / "seed-0", tmp_path / "local/jtt/seed-0")
    told = json.loads((jtt.folder / "seed-0/run.json").read_text(encoding="utf-8"))
    assert told["config"]["upweight_errors_of"] == str(first.folder)


def lies_in_a_module_that_the_nodes_lack(task: SentJob) -> None:
    """Run nowhere, like the engine's own function on a node without this package."""


@pytest.mark.process
def test_what_ray_cannot_run_is_told_in_a_sentence(cluster, tmp_path, monkeypatch):
    def dies(task: SentJob) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(ray_engine, "_LOSSES", 1)
    engine = RayEngine(cluster.address, None, device="cpu")
    [job, _] = jobs_in(tmp_path)
    try:
        engine._work = ray.remote(lies_in_a_module_that_the_nodes_lack)
        assert f"No module named '{__name__}'); every node needs activmask" in ended(engine, job)
        engine._work = ray.remote(dies)
        assert "worker or node was lost 2 times" in ended(engine, job)
        engine.start(job)
        assert (tmp_path / BEACON_FILE).exists()
    finally:
        engine.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_cluster_without_what_is_asked_is_told_in_a_sentence(cluster):
    with pytest.raises(DataError, match="no node of the Ray cluster offers a GPU"):
        RayEngine(cluster.address, None, device="cuda")
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:70000", "ray://127.0.0.1:1", "nonsense"])
def test_an_address_where_no_cluster_is_is_one_sentence(address):
    with pytest.raises(DataError, match=f"^no Ray cluster can be reached at {address}; start one"):
        RayEngine(address, None, device="cpu")


def test_a_cluster_that_wants_a_token_says_so():
    def refuse(**settings: object) -> None:
        try:
            raise RuntimeError("Last error: ray.exceptions.AuthenticationError: token missing")
        except RuntimeError as error:
            raise ConnectionError("Failed to connect") from error

    stub = SimpleNamespace(init=refuse, exceptions=ray.exceptions)
    with pytest.raises(DataError, match="the Ray cluster at auto wants its token; set RAY_AUTH_MODE=token"):
        join_ray(stub, "auto")


@pytest.mark.parametrize(
    ("kind", "units", "slots", "threads", "share"),
    [
        ("CPU", 8, 8, 0, {"num_cpus": 1}),
        ("CPU", 8, 8, 3, {"num_cpus": 3}),
        ("CPU", 8, 8, 64, {"num_cpus": 4}),
        ("CPU", 2, 4, 3, {"num_cpus": 0.5}),
        ("CPU", 0, 1, 0, {"num_cpus": 1}),
        ("GPU", 3, 2, 1, {"num_gpus": 1, "num_cpus": 0}),
        ("GPU", 2, 6, 1, {"num_gpus": 0.3333, "num_cpus": 0}),
        ("GPU", 1, 7, 1, {"num_gpus": 0.1428, "num_cpus": 0}),
    ],
)
def test_a_job_asks_for_its_share(tmp_path, kind, units, slots, threads, share):
    engine = RayEngine.__new__(RayEngine)
    nodes = [{"Alive": True, "Resources": {"CPU": 4}}, {"Alive": False, "Resources": {"CPU": 32}}]
    engine._ray = SimpleNamespace(cluster_resources=lambda: {kind: units}, nodes=lambda: nodes)
    engine._kind, engine.slots = kind, slots
    assert engine._share(jobs_in(tmp_path, threads=threads)[0]) == share


def test_files_come_in_such_an_order_that_finished_is_true(tmp_path, monkeypatch):
    [job, _] = jobs_in(tmp_path)
    files = {"seed-0/metrics.json": b"new", "seed-0/run.json": b"new", "seed-0/state.safetensors": b"new"}
    (job.folder / "seed-0").mkdir(parents=True)
    (job.folder / "seed-0" / "metrics.json").write_bytes(b"old")
    seen = []

    def note(path: Path, content: bytes) -> None:
        seen.append((path.name, (job.folder / "seed-0" / "metrics.json").exists()))

    monkeypatch.setattr(ray_engine, "write_whole", note)
    write_files(job, files)
    assert seen == [("run.json", False), ("state.safetensors", False), ("metrics.json", False)]


@pytest.mark.process
def test_the_command_trains_on_a_cluster_from_relative_paths(cluster, tmp_path):
    make_synthetic(SyntheticSpec(n=48, valid=16, test=16, seed=3), tmp_path / "crosses")
    (tmp_path / "own.toml").write_text(
        "[base]\ndata = 'crosses'\nmodel = 'cnn'\nwidth = 4\nepochs = 1\n[axes.method]\n'Classify' = {}\n"
    )
    command = [sys.executable, "-m", "activmask_cli.app", "sweep", "own.toml", "--engine", "ray"]
    done = subprocess.run(
        [*command, "--address", cluster.address],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1 of 1 cells are done, 0 failed")
    assert "ray" not in done.stderr.lower()
    assert (tmp_path / "runs" / "own" / "classify" / "seed-0" / "metrics.json").exists()
    assert not list(tmp_path.rglob(BEACON_FILE))
