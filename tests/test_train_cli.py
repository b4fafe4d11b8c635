"""What `activmask train` says at its end and in its help, and runs of older versions under it."""

import json
import re
import shutil
from typing import Any

import pytest
from activmask_cli.app import app
from activmask_cli.run_options import _default
from in_process import told
from safetensors.torch import save
from tiny_checkpoints import unsealed
from typer.testing import CliRunner

from activmask.runs.description import all_settings, changed
from activmask.runs.folder import read_written_config
from activmask.runs.making import make_config
from activmask.runs.tensor_file import read_safetensors
from activmask.training.run import train


@pytest.fixture(autouse=True)
def outside_of_a_repository(tmp_path, monkeypatch):
    """Where git is not asked, which would start a process."""
    monkeypatch.chdir(tmp_path)


def table(stdout: str) -> dict[str, list[str]]:
    rows = (re.findall(r"[\w.±-]+", line) for line in stdout.splitlines())
    return {row[0]: row[1:] for row in rows if row and row[0] in {"train", "valid", "test"}}


@pytest.mark.parametrize(("select", "rule"), [("auc", "highest AUC"), ("loss", "lowest cross-entropy")])
def test_the_closing_table_shows_the_best_and_the_last_epoch(crosses, tmp_path, select, rule):
    flags = ["--model", "cnn", "--width", "2", "--epochs", "2", "--device", "cpu", "--select", select]
    command = ["train", "--data", str(crosses), *flags, "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "run/seed-0/metrics.json").read_text())
    for split, numbers in table(done.stdout).items():
        scores = [metrics[split], metrics["last"][split]]
        assert numbers == [f"{one[name]:.3f}" for one in scores for name in ("auc", "accuracy")]
    assert rule in done.stdout.replace("\n", " ")


def test_a_finished_run_of_an_older_version_says_what_it_lacks(crosses, tmp_path):
    command = ["train", "--data", str(crosses), "--model", "cnn", "--width", "2", "--epochs", "1"]
    command += ["--device", "cpu", "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(app, command).exit_code == 0
    path = tmp_path / "run/seed-0/metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["last"]
    path.write_text(json.dumps(metrics))
    done = CliRunner().invoke(app, command)
    assert table(done.stdout)["train"][2:] == ["-", "-"]
    assert table(done.stdout)["valid"][2:] == [
        f"{metrics['valid'][name]:.3f}" for name in ("auc", "accuracy")
    ]
    assert "an older version did not store all last scores of seed 0" in done.stdout.replace("\n", " ")


@pytest.mark.process
def test_runs_on_two_data_sets_that_nobody_gave_a_place_do_not_meet(crosses, tmp_path):
    shutil.copytree(crosses, tmp_path / "my scans")
    flags = ["--model", "cnn", "--width", "2", "--epochs", "1", "--device", "cpu"]
    for data in (str(crosses), "my scans", str(crosses)):
        done = CliRunner().invoke(app, ["train", "--data", data, *flags])
        assert done.exit_code == 0, done.output
    assert "nothing was trained" in done.stdout
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {"synthetic-cnnw2", "synthetic-cnnw2-my_scans"}
    written = read_written_config(tmp_path / "runs/synthetic-cnnw2-my_scans/seed-0")
    assert written.source.data == "my scans"


QUICK = ("--model", "cnn", "--width", 2, "--epochs", 3, "--device", "cpu", "--threads", 1, "--out", "run")


@pytest.mark.parametrize("flags", [(), ("--overwrite",), ("--resume",)])
def test_who_interrupts_before_an_epoch_was_saved_is_sent_to_no_saved_epoch(
    crosses, tmp_path, monkeypatch, flags
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("activmask.training.run.train", interrupted)
    said = told("train", "--data", crosses, *QUICK, *flags, cwd=tmp_path, code=130).stderr
    assert "stopped before an epoch was saved; the same command starts anew\n" in said


def test_who_interrupts_after_one_is_told_a_command_that_is_taken(crosses, tmp_path, monkeypatch):
    def interrupted(bar: Any, seed: int, row: dict[str, Any]) -> None:
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("activmask_cli.progress.TrainingProgress.epoch", interrupted)
    for flags, way in (
        ((), "the same command with --resume"),
        (("--overwrite",), "the same command with --resume in the place of --overwrite"),
    ):
        said = told("train", "--data", crosses, *QUICK, *flags, cwd=tmp_path, code=130).stderr
        assert f"stopped; {way} continues from the last saved epoch\n" in said
    monkeypatch.setattr(
        "activmask_cli.progress.TrainingProgress.epoch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    said = told("train", "--data", crosses, *QUICK, "--resume", cwd=tmp_path, code=130).stderr
    assert "stopped; the same command continues from the last saved epoch\n" in said


def test_the_help_says_where_a_default_depends_on_the_network():
    known = all_settings()
    assert _default(known["actdiff_norm"]) == "row; channel for cnn, ae, unet"
    assert _default(known["actdiff_at"]) == "pre; post for cnn, ae, unet"
    assert _default(known["width"]) == "16 for cnn, ae, unet (64 in liver, cardiac, pancreas, xray), else 64"
    assert _default(known["recon"]) == "10 for ae, unet (1 in liver, cardiac, pancreas, xray), else 0"
    assert _default(known["select"]) == "auc"


def as_an_older_version_wrote_it(config: dict[str, Any]) -> dict[str, Any]:
    """One default form for all networks, and no choice of what selects."""
    return {name: value for name, value in config.items() if name != "select"} | {
        "actdiff_norm": "row",
        "actdiff_at": "pre",
    }


def test_a_run_of_an_older_version_is_resumed(crosses, tmp_path):
    config = make_config(data=str(crosses), model="cnn", width=2, epochs=1, device="cpu")
    [result] = train(config, out=tmp_path / "run")
    path = result.folder / "run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps(run | {"config": as_an_older_version_wrote_it(run["config"])}))
    state = result.folder / "state.safetensors"
    tensors, header = read_safetensors(state)
    progress = unsealed(json.loads(header["activmask"]))
    progress["description"]["config"] = as_an_older_version_wrote_it(progress["description"]["config"])
    state.write_bytes(save(tensors, {"activmask": json.dumps(progress)}))
    [resumed] = train(changed(config, epochs=2), out=tmp_path / "run", resume=True)
    [straight] = train(changed(config, epochs=2), out=tmp_path / "straight")
    assert resumed.trained
    assert resumed.metrics == straight.metrics


def test_a_file_in_the_place_of_the_runs_folder_is_named(crosses, tmp_path):
    (tmp_path / "{path}").write_text("mine")
    command = ["train", "--data", str(crosses), "--model", "cnn", "--width", "2", "--epochs", "1"]
    done = CliRunner().invoke(app, [*command, "--device", "cpu", "--out", str(tmp_path / "{path}")])
    assert done.exit_code == 3
    expected = (
        f"error: {tmp_path}/{{path}}/seed-0 cannot be made (Not a directory); move the file that is in "
    )
    assert expected in done.stderr.replace("\n", "")
    assert (tmp_path / "{path}").read_text() == "mine"
