"""Trackers, read by their own readers: what they hold, and that a run killed and resumed stays one."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from in_process import told
from recorded_runs import small
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data
from test_training import assert_same_run, history

from activmask.ground.errors import DataError, UsageError
from activmask.tracking import tracker as tracker_module
from activmask.tracking.tracker import tracker
from activmask.training.replicas.watcher import Callback
from activmask.training.run import train

EVENTS = "tracking/tensorboard"


class StoppedAfter(Callback):
    def __init__(self, epoch):
        self.last = epoch

    def epoch(self, seed, row):
        if row["epoch"] == self.last:
            raise KeyboardInterrupt


def events(folder: Path) -> Counter:
    """How often each tag was written at each step, over all files."""
    return Counter(
        (value.tag, event.step)
        for path in sorted((folder / EVENTS).iterdir())
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    )


def scalars(out: Path, run: str = f"seed-0/{EVENTS}") -> dict[str, dict[int, float]]:
    """What TensorBoard shows of a run below a folder."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(out)).Reload()
    found = {}
    for tag, about in multiplexer.AllSummaryMetadata()[run].items():
        if about.plugin_data.plugin_name == "scalars":
            series = multiplexer.Tensors(run, tag)
            found[tag] = {one.step: float(one.tensor_proto.float_val[0]) for one in series}
    return found


@pytest.mark.process
def test_tensorboard_holds_the_history_the_scores_and_the_settings(crosses, tmp_path):
    config = small(crosses, epochs=3)
    [tracked] = train(config, out=tmp_path / "a", progress=tracker("tensorboard", images=2))
    [plain] = train(config, out=tmp_path / "b")
    assert_same_run(tracked.folder, plain.folder)
    assert (tracked.folder / "run.json").read_bytes() == (plain.folder / "run.json").read_bytes()
    found = scalars(tmp_path / "a")
    for row in history(plain.folder):
        for name in row.keys() - {"epoch"}:
            assert found[name][int(row["epoch"])] == pytest.approx(float(row[name]))
    best = plain.metrics["best_epoch"]
    assert found["best/test_auc"] == {best: pytest.approx(plain.metrics["test"]["auc"])}
    assert found["last/valid_accuracy"] == {2: pytest.approx(plain.metrics["last"]["valid"]["accuracy"])}
    written = events(tracked.folder)
    assert {pair for pair in written if pair[0].startswith("saliency/")} == {
        (f"saliency/{number}", 1) for number in range(4)
    }
    assert set(written.values()) == {1}


@pytest.mark.process
def test_settings_are_hyperparameters_and_pictures_pictures(crosses, tmp_path):
    hostile = tmp_path / "[red]\x1b[31m\udcff"
    hostile.symlink_to(crosses)
    config = small(hostile, epochs=1)
    [result] = train(config, out=tmp_path / "run", progress=tracker("tensorboard", images=1))
    [path] = (result.folder / EVENTS).iterdir()
    values = {v.tag: v for event in EventFileLoader(str(path)).Load() for v in event.summary.value}
    content = values["_hparams_/session_start_info"].metadata.plugin_data.content
    settings = parse_session_start_info_plugin_data(content).hparams
    assert settings["data"].string_value == f"{tmp_path}/[red]\\x1b[31m\\xff"
    assert settings["lr"].number_value == 1e-3
    width, height, png = values["saliency/0"].tensor.string_val
    assert png.startswith(b"\x89PNG")
    assert int(width) > int(height) > 100


@pytest.mark.process
def test_a_run_stopped_and_resumed_is_one_tracked_run_and_lacks_nothing(crosses, tmp_path):
    config, out = small(crosses, epochs=4), tmp_path / "run"
    # Stopped when an epoch's state was saved and its tracker not yet told, as a kill may.
    with pytest.raises(KeyboardInterrupt):
        train(config, out=out, progress=[StoppedAfter(1), tracker("tensorboard", images=1)])
    folder = out / "seed-0"
    assert ("valid_auc", 1) not in events(folder)
    [cut] = (folder / EVENTS).iterdir()
    cut.write_bytes(cut.read_bytes()[:-3])
    [resumed] = train(config, out=out, resume=True, progress=tracker("tensorboard", images=1))
    written = events(folder)
    assert set(written.values()) == {1}
    assert {step for tag, step in written if tag == "valid_auc"} == {0, 1, 2, 3}
    assert sorted(scalars(out)["valid_auc"]) == [0, 1, 2, 3]
    train(small(crosses, epochs=5), out=out, resume=True, progress=tracker("tensorboard"))
    again = events(folder)
    assert set(again.values()) == {1}
    assert {step for tag, step in again if tag == "last/test_auc"} == {3, 4}
    assert resumed.metrics["last"]["test"]["auc"] == pytest.approx(scalars(out)["last/test_auc"][3])


def test_steps_that_were_told_before_their_state_was_saved_are_not_told_again(crosses, tmp_path):
    config, out = small(crosses, epochs=2), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(config, out=out, progress=[tracker("tensorboard"), StoppedAfter(0)])
    (out / "seed-0/state.safetensors").unlink()
    train(config, out=out, progress=tracker("tensorboard"))
    assert set(events(out / "seed-0").values()) == {1}


@pytest.mark.parametrize("anew", [True, False])
def test_a_run_that_is_overwritten_or_another_begins_anew(crosses, tmp_path, anew):
    out = tmp_path / "run"
    train(small(crosses, epochs=2), out=out, progress=tracker("tensorboard"))
    config = small(crosses, epochs=1, lr=1e-3 if anew else 1e-2)
    train(config, out=out, overwrite=True, progress=tracker("tensorboard", anew=anew))
    assert {step for tag, step in events(out / "seed-0") if tag == "valid_auc"} == {0}


def test_what_cannot_be_tracked_is_refused_before_training(crosses, tmp_path, monkeypatch):
    said = told("train", "--data", crosses, "--track-images", 2, "--out", "run", cwd=tmp_path, code=2).output
    assert "--track-images has no effect without --track" in said
    (tmp_path / "run/seed-0/tracking").mkdir(parents=True)
    (tmp_path / "run/seed-0/tracking/tensorboard.json").write_text("[")
    with pytest.raises(DataError, match="remove it to begin a new tracked run"):
        train(small(crosses, epochs=1), out=tmp_path / "run", progress=tracker("tensorboard"))
    with pytest.raises(UsageError, match="give 0 for none"):
        tracker("tensorboard", images=-1)
    monkeypatch.setattr(tracker_module, "find_spec", lambda _name: None)
    said = told("train", "--data", crosses, "--track", "tensorboard", cwd=tmp_path, code=2).output
    assert "pip install 'activmask[tensorboard]'" in said


@pytest.mark.process
def test_a_killed_command_line_stays_one_tracked_run(crosses, tmp_path):
    quick = ["--data", crosses, "--model", "cnn", "--width", "4", "--epochs", "3", "--seeds", "0,1"]
    command = ["train", *map(str, quick), "--track", "tensorboard", "--track-images", "2", "--out", "run"]
    code = (
        "import os, signal\n"
        "from activmask.tracking import tensorboard_log as log\n"
        "kept = log.TensorBoardLog.scalars\n"
        "def scalars(self, step, values):\n"
        "    kept(self, step, values)\n"
        "    if step == 1:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "log.TensorBoardLog.scalars = scalars\n"
        f"from activmask_cli.app import app; app({command!r})"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    told(*command, "--resume", cwd=tmp_path)
    for seed in (0, 1):
        written = events(tmp_path / f"run/seed-{seed}")
        assert set(written.values()) == {1}
        assert {step for tag, step in written if tag == "valid_auc"} == {0, 1, 2}
        assert ("saliency/0", 1) in written
        assert any(tag == "best/test_auc" for tag, _ in written)
