"""Several processes that train one network: their gradients are those of one process."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from held_processes import last_words, started, wait_for
from hypothesis import given
from hypothesis import strategies as st
from objective_settings import OBJECTIVES
from sited import sited

from activmask.data.samples import Samples
from activmask.ground.errors import UsageError
from activmask.machine.world import ALONE, World, joined, read_world, share
from activmask.runs.description import changed
from activmask.runs.making import make_config
from activmask.training.feed import kept_masks, sources
from activmask.training.feed.reading import Reading
from activmask.training.replicas import replica as replica_module
from activmask.training.replicas.epoch import training_steps
from activmask.training.replicas.replica import new_replica
from activmask.training.run import train

GROUPS = {
    "group dro": {"group_dro": 0.5, "gradmask": 1.0},
    "group dro by size": {"group_dro": 0.5, "group_dro_size": 2.0},
    "groups weighted": {"group_balance": "weights"},
}
SHARED = [*(name for name in OBJECTIVES if name != "dropout"), *GROUPS]
"""All but what each process draws for itself."""
BATCH = 31
"""Does not divide by two."""


def config_of(name: str, data: Path):
    settings = {"model": "cnn", "width": 4, "lr": 1e-3, "batch_size": BATCH, "data": str(data)}
    synced = {"batch norm": {"sync_batchnorm": True}, "batch norm twice": {"sync_batchnorm": True}}
    grouped = {"data": str(data.with_name("sited")), "groups": "site"}
    asked = {**grouped, **GROUPS[name]} if name in GROUPS else OBJECTIVES[name]
    return make_config(**{**settings, **asked, **synced.get(name, {})})


@pytest.fixture(scope="module", autouse=True)
def _sited(crosses):
    sited(crosses, crosses.with_name("sited"))


@contextmanager
def double_precision():
    """Build replicas of double weights and images, so that nothing but a wrong sum can differ."""
    torch.set_default_dtype(torch.float64)
    try:
        with (
            patch.object(replica_module, "split_as_judged", widened(sources.split_as_judged)),
            patch.object(replica_module, "to_train_on", widened(kept_masks.to_train_on)),
        ):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def widened(make: Callable[..., Samples]) -> Callable[..., Samples]:
    def wide(*given, **named) -> Samples:
        samples = make(*given, **named)
        return replace(samples, images=samples.images.double())

    return wide


def first_step(config, world: World, reading: Reading) -> list[list[float]]:
    """The loss and its terms, then every gradient; Adam's step after it turns rounding into more."""
    # The discriminator computes in single precision whatever its input.
    with nullcontext() if config["adversarial"] else double_precision():
        replica = new_replica(config, 0, Path("nowhere"), torch.device("cpu"), world, reading=reading)
    values, _ = next(training_steps(replica))
    modules = [replica.model, *([replica.discriminator] if replica.discriminator else [])]
    gradients = [p.grad.flatten().tolist() for m in modules for p in m.parameters() if p.grad is not None]
    return [values.tolist(), *gradients]


@contextmanager
def meeting_point():
    """What torchrun would tell each process of a world of two, by its rank; they meet in this process.

    A port that is chosen first and listened to later, another program may take.
    """
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "a test",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    yield lambda rank: {**told, "RANK": str(rank), "LOCAL_RANK": str(rank)}


def take_part(rank: int, told: dict[str, str], data: Path, answer) -> None:
    torch.set_num_threads(1)
    os.environ |= told
    world = World(rank=rank, size=2, local_rank=rank)
    with joined(world, torch.device("cpu")):
        reading = Reading(decoded={})
        answer.send({name: first_step(config_of(name, data), world, reading) for name in SHARED})


@pytest.fixture(scope="module")
def together(crosses):
    """What each of two processes saw of every objective."""
    context = get_context("spawn")
    with meeting_point() as told:
        pipes = [context.Pipe(duplex=False) for _ in range(2)]
        processes = [
            context.Process(target=take_part, args=(rank, told(rank), crosses, pipe[1]), daemon=True)
            for rank, pipe in enumerate(pipes)
        ]
        for process, (_, theirs) in zip(processes, pipes, strict=True):
            process.start()
            # Where it dies, its answer ends.
            theirs.close()
        found = [ours.recv() for ours, _ in pipes]
        for process in processes:
            process.join()
    return found


@pytest.fixture(scope="module")
def reading() -> Reading:
    """What this process reads of the data sets, once."""
    return Reading(decoded={})


@pytest.mark.process
@pytest.mark.parametrize("name", SHARED)
def test_gradients_of_two_processes_are_those_of_one(crosses, together, reading, name):
    config = changed(config_of(name, crosses), sync_batchnorm=False)
    alone = first_step(config, ALONE, reading)
    for found in together:
        for left, right in zip(alone, found[name], strict=True):
            expected, other = (torch.tensor(side, dtype=torch.float64) for side in (left, right))
            tolerance = 1e-3 if config["adversarial"] else 1e-10
            assert (other - expected).norm() <= tolerance * expected.norm() + 1e-12


def test_a_wrong_weight_would_be_seen(crosses, reading):
    """The comparison above can fail: halves of an uneven batch do not average to the whole."""
    config = config_of("plain", crosses)
    parts = [first_step(changed(config, batch_size=size), ALONE, reading)[0][0] for size in (15, 31)]
    assert abs(parts[0] - parts[1]) > 1e-6 * parts[1]


@given(count=st.integers(1, 200), size=st.integers(1, 9))
def test_shares_cover_a_batch_evenly(count, size):
    parts = [share(count, World(rank=rank, size=size)) for rank in range(size)]
    assert [n for part in parts for n in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_the_world_is_read_from_torchruns_variables():
    assert read_world({}) == ALONE
    assert read_world({"RANK": "1", "WORLD_SIZE": "4"}) == ALONE
    there = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert read_world(there) == World(rank=3, size=4, local_rank=1)
    with pytest.raises(UsageError, match="no number"):
        read_world({**there, "RANK": "three"})


def test_a_batch_smaller_than_the_world_is_refused(crosses):
    config = changed(config_of("plain", crosses), batch_size=47)
    with pytest.raises(UsageError, match="the last batch of an epoch has 1 images"):
        new_replica(config, 0, Path("nowhere"), torch.device("cpu"), World(rank=0, size=2))


def test_synced_statistics_need_a_world(crosses, tmp_path):
    with pytest.raises(UsageError, match="sync_batchnorm has no effect in a single process"):
        train(config_of("batch norm", crosses), out=tmp_path)


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def command(data: Path, out: Path, epochs: int, *more: str) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [sys.executable, *launcher, *program(data, out, epochs, *more)]


def program(data: Path, out: Path, epochs: int, *more: str) -> list[str]:
    settings = ["--data", data, "--model", "cnn", "--width", "4", "--epochs", epochs, "--device", "cpu"]
    return ["-m", "activmask_cli.app", "train", *map(str, settings), "--out", str(out), *more]


@pytest.mark.process
def test_torchrun_trains_one_network_and_one_process_speaks_and_ends_all_by_its_patience(crosses, tmp_path):
    asked = command(crosses, tmp_path / "run", 40, "--patience", "1")
    done = subprocess.run(asked, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.count("Best epoch") == 1
    assert done.stderr.count("1/40 epochs") == 1
    assert done.stderr.count("seed 0 ends early: after") == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["seed-0"]
    assert '"processes": 2' in (tmp_path / "run/seed-0/run.json").read_text()


@pytest.mark.process
def test_a_dead_peer_ends_the_training_in_a_sentence_and_it_resumes(crosses, tmp_path):
    out = tmp_path / "run"
    alone = [sys.executable, *program(crosses, out, 100_000)]
    # Without torchrun, which ends the others of a process that died, as soon as it sees that.
    with (
        meeting_point() as there,
        started(alone, cwd=tmp_path, env=ENVIRONMENT | there(0)) as survivor,
        started(alone, cwd=tmp_path, env=ENVIRONMENT | there(1)) as peer,
    ):
        wait_for(survivor, "1/100000 epochs")
        peer.kill()
        said = last_words(survivor)
    assert survivor.returncode == 4
    assert "another process of this training has ended" in said
    epochs = len((out / "seed-0" / "history.csv").read_text().splitlines()) - 1
    again = command(crosses, out, epochs + 1, "--resume")
    subprocess.run(again, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert (out / "seed-0" / "metrics.json").exists()
