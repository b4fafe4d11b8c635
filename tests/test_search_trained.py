"""Searches whose trials are really trained: given up after some epochs, and ended by a signal."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from held_processes import held, last_words
from in_process import told
from recorded_runs import small
from test_orphans import descendants, outcome
from test_training import assert_same_run

from activmask.runs.folder import read_history, read_metrics, read_written
from activmask.training.run import train

COMMAND = [sys.executable, "-m", "activmask_cli.app"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
RUN = ("--model", "cnn", "--width", 2, "--batch-size", 12, "--device", "cpu", "--threads", 1)
SEARCH = ("search", "--seeds", 1, "--select", "loss", "--max-parallel", 1)


def found_by(*command: object, cwd: Path) -> dict:
    return json.loads(told(*command, "--json", cwd=cwd).stdout)


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_a_trial_given_up_has_the_epochs_of_its_stage_and_goes_on_as_any_run(crosses, tmp_path):
    command = (
        *(*SEARCH, "--over", "lr=1e-7..1e-2:log", "--trials", 8, "--epochs", 4, "--prune", "epochs"),
        *("--sampler", "random", "--data", crosses, *RUN, "--out", "found"),
    )
    found = found_by(*command, cwd=tmp_path)
    folders = [tmp_path / one["folder"] / "seed-0" for one in found["trials"]]
    lengths = [len(read_history(folder)) for folder in folders]
    statuses = [one["status"] for one in found["trials"]]
    pruned = [k for k, status in enumerate(statuses) if status == "pruned"]
    assert pruned
    # None before the sixth, which is the first with enough others to be compared with.
    assert min(pruned) >= 5
    for k, (one, length) in enumerate(zip(found["trials"], lengths, strict=True)):
        losses = [row["valid_loss"] for row in read_history(folders[k])]
        assert one["scores"] == {"0": min(losses)}
        if k not in pruned:
            assert (one["status"], length) == ("done", 4)
            continue
        earlier = [[row["valid_loss"] for row in read_history(folder)] for folder in folders[:k]]
        others = sorted(min(those[:length]) for those in earlier if len(those) >= length)
        middle = len(others) // 2
        assert min(losses) > (others[middle] if len(others) % 2 else sum(others[middle - 1 : middle + 1]) / 2)
        assert length in {1, 2}
        assert read_metrics(folders[k])["epochs"] == read_written(folders[k]).config["epochs"] == length
    done = [one for one in found["trials"] if one["status"] == "done"]
    assert found["best"] == min(done, key=lambda one: one["score"])["trial"]

    stamps = [(folder / "state.safetensors").stat().st_mtime_ns for folder in folders]
    again = told(*command, cwd=tmp_path)
    assert f"{len(done)} scored on all seeds, {len(pruned)} given up early" in " ".join(again.stdout.split())
    assert [(folder / "state.safetensors").stat().st_mtime_ns for folder in folders] == stamps

    last = pruned[-1]
    settings = found["trials"][last]["settings"]
    config = small(crosses, width=2, epochs=4, select="loss", threads=1, **settings)
    train(config, (0,), folders[last].parent, resume=True)
    train(config, (0,), tmp_path / "straight")
    assert_same_run(tmp_path / "straight/seed-0", folders[last])


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_a_search_that_sigterm_ends_leaves_nobody_and_goes_on_to_the_same_trials(crosses, tmp_path):
    command = (
        *(*SEARCH, "--over", "lr=1e-3..1e-1:log,actdiff=0.1..10:log", "--trials", 3, "--epochs", 3),
        *("--data", crosses, *RUN, "--out"),
    )
    straight = found_by(*command, "straight", cwd=tmp_path)
    place = "trial-0001/seed-0/history.csv$"
    with held(
        [*COMMAND, *command, "ended"], "os.rename", place, times=2, cwd=tmp_path, env=ENVIRONMENT
    ) as process:
        family = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        # It ends with the last of those that hold its standard error: all whom it started.
        said = last_words(process)
    assert family
    assert process.returncode == 143, said
    assert "ended by SIGTERM" in said
    assert "Traceback" not in said
    assert (tmp_path / "ended/trial-0000/seed-0/metrics.json").exists()
    assert not (tmp_path / "ended/trial-0001/seed-0/metrics.json").exists()
    assert not (tmp_path / "ended/best.toml").exists()
    first = read_history(tmp_path / "ended/trial-0001/seed-0")
    again = found_by(*command, "ended", cwd=tmp_path)
    assert [one["done_before"] for one in again["trials"]] == [True, False, False]
    own = ("trial", "status", "settings", "score", "scores", "error")
    assert [[one[name] for name in own] for one in again["trials"]] == [
        [one[name] for name in own] for one in straight["trials"]
    ]
    assert again["best"] == straight["best"]
    for number in range(3):
        seeds = [tmp_path / name / f"trial-000{number}" / "seed-0" for name in ("ended", "straight")]
        assert outcome(seeds[0]) == outcome(seeds[1])
    # What was saved before the signal was not trained again.
    assert read_history(tmp_path / "ended/trial-0001/seed-0")[: len(first)] == first
    winners = [(tmp_path / name / "best.toml").read_bytes() for name in ("ended", "straight")]
    assert winners[0] == winners[1]
