"""When, where and by whose command a run was trained: what `run.json` says of it, and what hangs on it."""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from activmask_cli.caller import this_caller
from in_process import told
from summary_runs import write_run

from activmask.experiments.cells import grid_cells
from activmask.experiments.grid import read_grid
from activmask.experiments.jobs import make_jobs
from activmask.machine import revision
from activmask.machine.revision import NO_REVISION, Revision, revision_of
from activmask.report.findings.summary import summarise
from activmask.runs.folder import seed_folder
from activmask.runs.results import find_runs
from activmask.runs.sittings import SITTINGS, Caller, Sitting, read_sittings, sitting, sittings_to_json
from activmask.runs.tensor_file import read_told

NOON = datetime(2026, 3, 1, 13, 0, 5, 250, tzinfo=timezone(timedelta(hours=1)))
CALLER = Caller(command="activmask train --name 'a b'", folder="/home/me", commit="ab" * 20, changed=True)


def git(folder, *words):
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    return subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.process
def test_the_revision_is_that_of_the_folder_and_says_whether_it_still_is_it(tmp_path):
    assert revision_of(tmp_path) == NO_REVISION
    git(tmp_path, "init", "-q")
    assert revision_of(tmp_path) == NO_REVISION  # Nothing was committed yet.
    (tmp_path / "script.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    inside = tmp_path / "below"
    inside.mkdir()
    (inside / "run.json").write_text("untracked files are no change")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert revision_of(inside) == Revision(commit=commit, changed=False)
    (tmp_path / "script.py").write_text("2")
    assert revision_of(inside) == Revision(commit=commit, changed=True)
    (tmp_path / ".git/HEAD").write_text("broken")
    assert revision_of(inside) == NO_REVISION


def test_a_repository_that_does_not_answer_holds_nothing_up(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    asked = []

    def hang(words, *, timeout, **_):
        asked.append(words[-1])
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(revision.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(revision.subprocess, "run", hang)
    assert revision_of(tmp_path) == NO_REVISION
    assert asked == ["HEAD"]
    assert revision.PATIENCE <= 5


def test_no_git_is_asked_outside_of_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(revision.subprocess, "run", lambda *_, **__: pytest.fail("git was asked"))
    assert revision_of(tmp_path) == NO_REVISION


def test_the_command_line_is_told_so_that_it_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/opt/bin/activmask", "train", "--name", "a b"])
    assert this_caller("a b") == Caller(
        command="activmask train --name 'a b'", folder=str(tmp_path), title="a b"
    )


def test_a_sitting_is_told_in_universal_time_and_read_back(tmp_path):
    one = sitting(CALLER, now=NOON, host="node7")
    assert one.began == "2026-03-01T12:00:05+00:00"
    assert one.revision == "abababababab, with changes"
    (tmp_path / "run.json").write_text(json.dumps(sittings_to_json([one, one])))
    assert read_sittings(tmp_path) == (one, one)
    assert sittings_to_json([]) == {}


@pytest.mark.parametrize(
    "written",
    ["", "[]", "{}", '{"sittings": 3}', '{"sittings": [3, {}]}', '{"sittings": [{"command": "x"}]}'],
)
def test_what_is_damaged_or_was_never_written_is_no_sitting(tmp_path, written):
    (tmp_path / "run.json").write_text(written)
    assert read_sittings(tmp_path) == ()
    assert read_sittings(tmp_path / "nowhere") == ()


def test_a_changed_type_is_no_sitting(tmp_path):
    one = sittings_to_json([sitting(CALLER, now=NOON, host="node7")])
    one[SITTINGS][0]["changed"] = "yes"
    (tmp_path / "run.json").write_text(json.dumps(one))
    assert read_sittings(tmp_path) == ()


TINY = ("--model", "cnn", "--width", 4, "--batch-size", 16, "--device", "cpu", "--threads", 1)


@pytest.mark.process
def test_train_writes_its_sittings_and_nothing_else_changes_by_them(tmp_path, monkeypatch):
    told("make-synthetic", "--n", 8, "--valid", 4, "--test", 4, "--out", "crosses", cwd=tmp_path)
    before = datetime.now(UTC)
    for number, flags in enumerate((("--epochs", 1), ("--epochs", 2, "--resume"))):
        monkeypatch.setattr(sys, "argv", ["activmask", "train", str(number)])
        told("train", "--data", "crosses", *TINY, "--name", "mine", *flags, cwd=tmp_path)
    folder = seed_folder(tmp_path / "runs/mine", 0)
    first, second = read_sittings(folder)
    assert [one.command for one in (first, second)] == ["activmask train 0", "activmask train 1"]
    assert (first.host, first.folder, first.title) == (platform.node(), str(tmp_path), "mine")
    start, end = (datetime.fromisoformat(one.began) for one in (first, second))
    assert before - timedelta(seconds=1) <= start <= end <= datetime.now(UTC)
    described = json.loads((folder / "run.json").read_text())
    for name in ("best.safetensors", "last.safetensors", "state.safetensors"):
        assert SITTINGS not in read_told(folder / name)
        assert b"activmask train" not in (folder / name).read_bytes()
    assert described["run_sha256"]
    monkeypatch.setattr(sys, "argv", ["activmask", "train", "2"])
    told("train", "--data", "crosses", *TINY, "--name", "mine", "--epochs", 2, "--overwrite", cwd=tmp_path)
    [anew] = read_sittings(folder)
    assert anew.command == "activmask train 2"
    assert json.loads((folder / "run.json").read_text())["run_sha256"] == described["run_sha256"]


def test_a_run_is_called_by_what_its_caller_calls_it(tmp_path):
    for name, title in (("a", "weak"), ("b", ""), ("c", "")):
        write_run(tmp_path / name, {0: 0.5}, actdiff=1.0 if name == "a" else 10.0, width=8 + (name == "c"))
        path = tmp_path / name / "seed-0/run.json"
        described = json.loads(path.read_text())
        if name != "c":
            one = Sitting(command="", folder="", title=title, began="", host="")
            described |= sittings_to_json([one])
        path.write_text(json.dumps(described))
    runs = find_runs([tmp_path])
    assert [run.title for run in runs] == ["weak", "", ""]
    titles = [row.title for row in summarise(runs).rows]
    assert titles[0].startswith("CNN Actdiff (weak, ")
    assert not any("weak" in title for title in titles[1:])


GRID = """
name = "weights"
[base]
data = "synthetic"
[axes.model]
"CNN" = { model = "cnn" }
[axes.weight]
"Actdiff" = { actdiff = 1.0 }
"my strong one" = { actdiff = 10.0 }
"""


def test_labels_of_an_own_grid_name_its_runs_where_settings_do_not(tmp_path):
    (tmp_path / "grid.toml").write_text(GRID)
    cells = grid_cells(read_grid(str(tmp_path / "grid.toml")))
    jobs = make_jobs(cells, [0], tmp_path, caller=CALLER, own_titles=True)
    assert [job.caller.title for job in jobs if job.caller] == ["", "my strong one"]
    plain = make_jobs(cells, [0], tmp_path, caller=CALLER)
    assert [job.caller for job in plain] == [CALLER, CALLER]
    assert [job.caller for job in make_jobs(cells, [0], tmp_path)] == [None, None]
