"""`activmask search` as a user runs it, from the first trial to the arms of a sweep."""

import csv
import json
import subprocess
import sys

import pytest
from in_process import told

from activmask.runs.folder import read_written

QUICK = ("--model", "cnn", "--width", 2, "--epochs", 1, "--device", "cpu", "--threads", 1)
OVER = ("--over", "lr=1e-3..1e-1:log", "--over", "actdiff=0.1..10:log,batch_size=8|16")


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_a_search_goes_on_is_tabulated_and_its_winner_trains_and_sweeps(crosses, tmp_path):
    budget = ("--trials", 2, "--seeds", 1, "--select", "accuracy")
    command = ("search", *OVER, *budget, "--data", crosses, *QUICK)
    done = told(*command, "--out", "found", cwd=tmp_path)
    assert "search over lr, actdiff, batch_size: 2 trials of 1 seed, by validation accuracy" in done.stderr
    assert "2 of 2 trials: 2 scored on all seeds" in done.stdout
    assert "(chance 0.500) over 1 seed; chosen as the best of 2" in done.stdout
    assert "Test scores played no part." in done.stdout
    again = told(*command, "--out", "found", "--json", cwd=tmp_path)
    found = json.loads(again.stdout)
    assert "2 of 2 trials were over before" in again.stderr
    assert [(one["status"], one["done_before"]) for one in found["trials"]] == [("done", True)] * 2
    for one in found["trials"]:
        metrics = json.loads((tmp_path / one["folder"] / "seed-0" / "metrics.json").read_text())
        assert one["scores"] == {"0": metrics["valid"]["accuracy"]}
    assert found["best"] == max(found["trials"], key=lambda one: one["score"])["trial"]
    trial = read_written(tmp_path / "found" / "trial-0000" / "seed-0").searched
    assert (trial.trial, trial.winner, trial.trials) == (0, False, 2)

    rows = list(csv.DictReader(told("table", "found", "--format", "csv", cwd=tmp_path).stdout.splitlines()))
    assert len(rows) == 2
    told("train", "--config", found["config"], "--out", "final", cwd=tmp_path)
    chosen = read_written(tmp_path / "final" / "seed-1")
    assert (chosen.searched.winner, chosen.searched.trial) == (True, found["best"])
    assert chosen.config["lr"] == found["trials"][found["best"]]["settings"]["lr"]
    off = told("train", "--config", found["config"], "--lr", 0.5, "--seeds", 2, "--out", "off", cwd=tmp_path)
    assert "departs from what the search of found/best.toml chose (lr)" in off.stderr
    assert read_written(tmp_path / "off" / "seed-2").searched is None

    (tmp_path / "arms.toml").write_text('[axes.method]\n"Tuned" = { config = "found/best.toml" }\n')
    told("sweep", "arms.toml", "--seeds", "1", cwd=tmp_path)
    assert read_written(tmp_path / "runs" / "arms" / "tuned" / "seed-0").searched == chosen.searched


def test_a_plan_is_printed_and_nothing_written(crosses, tmp_path, monkeypatch):
    monkeypatch.setattr("activmask.experiments.estimate.seconds_per_epoch", lambda job, threads: 2.0)
    done = told(
        "search", *OVER, "--trials", 6, "--seeds", 2, "--data", crosses, *QUICK[:4], "--epochs", 5,
        "--max-parallel", 2, "--dry-run", cwd=tmp_path,
    )  # fmt: skip
    assert "6 trials of 2 seeds, 12 runs of 5 epochs, scored by validation AUC" in done.stdout
    # 12 runs of 5 epochs of 2 s, two at once.
    assert "about 60 s with 2 at once" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--over", "lr=1e-3"), 2, "lr is searched over a range such as 1e-3..1:log"),
        (("--over", "lr=1e-3..1", "--lr", 0.1), 2, "lr is both given and searched over"),
        (("--over", "lr=1e-3..1", "--dry-run", "--json"), 2, "give one of them"),
        (("--over", "lr=1e-3..1", "--address", "auto", "--data", "synthetic"), 2, "give --engine ray too"),
        (("--over", "lr=1e-3..1", "--data", "nowhere"), 3, "nowhere"),
        (("--over", "lr=1e-3..1", "--seeds", "x"), 2, "seeds are numbers"),
    ],
)
def test_wrong_use_is_told(tmp_path, arguments, code, sentence):
    done = told("search", *arguments, *QUICK, cwd=tmp_path, code=code)
    assert sentence in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_its_help_loads_neither_torch_nor_optuna(tmp_path):
    script = (
        "import sys\nfrom activmask_cli.app import app\nfrom typer.testing import CliRunner\n"
        "done = CliRunner().invoke(app, ['search', '--help'])\n"
        "assert done.exit_code == 0 and '--over' in done.output, done.output\n"
        "print(sorted({'torch', 'optuna', 'sqlalchemy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
