"""The recipes of `docs/recipes`, run as far as a machine without the programs they are for can run them."""

import os
import shlex
import signal
from pathlib import Path

import pytest
from held_processes import held, last_words, started
from test_sweep_cli import COMMAND, ENVIRONMENT, GRID

RECIPES = Path(__file__).parents[1] / "docs/recipes"


@pytest.fixture
def cluster(tmp_path, crosses):
    """A folder with a grid, where `activmask` is this one, and `scontrol` writes down what it is asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    command = " ".join(shlex.quote(word) for word in COMMAND)
    for name, line in {"activmask": f'exec {command} "$@"', "scontrol": 'echo "$@" >> asked.txt'}.items():
        (programs / name).write_text(f"#!/bin/bash\n{line}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "own.toml").write_text(GRID.replace('"synthetic"', f"'{crosses}'"))
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return tmp_path, {**ENVIRONMENT, "PATH": path, "SLURM_JOB_ID": "17"}


def job(*options):
    return ["bash", RECIPES / "sweep.sbatch", "own.toml", "--out", "runs", "--max-parallel", "1", *options]


@pytest.mark.process
def test_a_job_whose_time_is_up_queues_itself_and_goes_on(cluster):
    place, environment = cluster
    with held(job(), "os.rename", "history.csv$", halts=False, cwd=place, env=environment) as process:
        os.kill(process.pid, signal.SIGTERM)
        assert "the same command again finishes what is missing" in last_words(process)
    assert process.returncode == 143
    assert (place / "asked.txt").read_text() == "requeue 17\n"
    with started(job("--epochs", "1"), cwd=place, env=environment) as process:
        last_words(process)
    assert process.returncode == 0
    assert (place / "asked.txt").read_text() == "requeue 17\n"


@pytest.mark.process
def test_a_job_that_fails_does_not_queue_itself(cluster):
    place, environment = cluster
    with started(job("--no-such-option"), cwd=place, env=environment) as process:
        last_words(process)
    assert process.returncode == 2
    assert not (place / "asked.txt").exists()


def test_the_container_copies_what_is_there():
    lines = (RECIPES / "Containerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert {"pyproject.toml", "activmask", "cli"} <= set(copied)
    assert all((RECIPES.parents[1] / name).exists() for name in copied)
