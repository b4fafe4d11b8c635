"""Runs of MLflow, read by its own client: what they hold, and that a run stopped and resumed stays one."""

import json
import os
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow_server import mlflow_server
from recorded_runs import small
from test_tracking import StoppedAfter
from test_training import assert_same_run, history

from activmask.ground.errors import DataError
from activmask.tracking.tracker import tracker
from activmask.training.run import train


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def runs(store: Path, monkeypatch) -> tuple[MlflowClient, list]:
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(tracking_uri=store.as_uri())
    found = client.get_experiment_by_name("activmask")
    return client, client.search_runs([found.experiment_id])


def series(client: MlflowClient, run, name: str) -> dict[int, float]:
    values = client.get_metric_history(run.info.run_id, name)
    assert len({one.step for one in values}) == len(values)
    return {one.step: one.value for one in values}


@pytest.mark.process
def test_mlflow_holds_one_run_of_a_seed_stopped_and_resumed(crosses, tmp_path, monkeypatch):
    config, out = small(crosses, epochs=3), tmp_path / "run [red]\x1b"
    with pytest.raises(KeyboardInterrupt):
        train(config, out=out, progress=[StoppedAfter(1), tracker("mlflow", images=2)])
    [resumed] = train(config, out=out, resume=True, progress=tracker("mlflow", images=2))
    [plain] = train(config, out=tmp_path / "plain")
    assert_same_run(resumed.folder, plain.folder)
    client, [run] = runs(out / "tracking/mlflow", monkeypatch)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run [red]\\x1b seed 0")
    for name in history(plain.folder)[0].keys() - {"epoch"}:
        kept = {int(row["epoch"]): float(row[name]) for row in history(resumed.folder)}
        assert series(client, run, name) == pytest.approx(kept)
    assert series(client, run, "last/test_auc") == {2: plain.metrics["last"]["test"]["auc"]}
    assert (run.data.params["lr"], run.data.params["seed"]) == ("0.001", "0")
    pictures = client.list_artifacts(run.info.run_id, "saliency")
    assert [one.path for one in pictures] == [f"saliency/{number}-epoch-1.png" for number in range(4)]


@pytest.mark.process
def test_a_folder_of_ones_own_takes_the_runs_and_overwriting_begins_another(crosses, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "all").as_uri())
    config, out = small(crosses, epochs=1), tmp_path / "run"
    train(config, (0, 1), out, progress=tracker("mlflow"))
    train(config, (0,), out, overwrite=True, progress=tracker("mlflow", anew=True))
    client, found = runs(tmp_path / "all", monkeypatch)
    assert sorted(run.data.params["seed"] for run in found) == ["0", "0", "1"]
    assert all(series(client, run, "valid_auc").keys() == {0} for run in found)
    assert not (out / "tracking").exists()


def test_a_run_that_is_gone_and_a_server_that_refuses_are_sentences(crosses, tmp_path, monkeypatch):
    config, out = small(crosses, epochs=1), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(config, out=out, progress=[StoppedAfter(0), tracker("mlflow")])
    mark = out / "seed-0/tracking/mlflow.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "id": "0" * 32}))
    with pytest.raises(DataError, match="not found"):
        train(config, out=out, resume=True, progress=tracker("mlflow"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://user:secret@host")
    with pytest.raises(DataError, match="MLflow at nonsense://host refuses") as caught:
        tracker("mlflow")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_a_sentence_before_long(monkeypatch):
    with mlflow_server() as (address, _):
        host = address.removeprefix("http://")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@{host}")
    before = dict(os.environ)
    with pytest.raises(DataError) as caught:
        tracker("mlflow")
    assert str(caught.value) == (
        f"MLflow at http://{host} does not answer; check MLFLOW_TRACKING_URI and that the server runs"
    )
    assert dict(os.environ) == before


@pytest.mark.process
def test_a_server_is_told_over_http_and_a_run_stopped_and_resumed_stays_one(crosses, tmp_path, monkeypatch):
    config, out = small(crosses, epochs=2), tmp_path / "run"
    with mlflow_server() as (address, kept):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=out, progress=[StoppedAfter(0), tracker("mlflow", images=1)])
        [resumed] = train(config, out=out, resume=True, progress=tracker("mlflow", images=1))
    [(number, run)] = kept.runs.items()
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", "run seed 0")
    assert run["params"]["lr"] == "0.001"
    for name in history(resumed.folder)[0].keys() - {"epoch"}:
        rows = {int(row["epoch"]): float(row[name]) for row in history(resumed.folder)}
        assert kept.series(number, name) == pytest.approx(rows)
    pictures = {f"1/{number}/artifacts/saliency/{k}-epoch-{step}.png" for k in range(4) for step in range(2)}
    assert kept.artifacts.keys() == pictures
    assert all(content.startswith(b"\x89PNG") for content in kept.artifacts.values())


def test_a_server_that_fails_while_training_is_a_sentence_and_the_run_goes_on_later(
    crosses, tmp_path, monkeypatch
):
    config, out = small(crosses, epochs=1), tmp_path / "run"
    with mlflow_server() as (address, kept):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        tell = tracker("mlflow")
        assert kept.asked == ["mlflow/experiments/search"]
        kept.refused.add("mlflow/runs/log-batch")
        with pytest.raises(DataError, match=r"refuses .*the disk of the server is full") as caught:
            train(config, out=out, progress=tell)
        assert "then resume" in str(caught.value)
        kept.refused.clear()
        [result] = train(config, out=out, resume=True, progress=tracker("mlflow"))
    [(number, _)] = kept.runs.items()
    assert kept.series(number, "last/test_auc") == {0: result.metrics["last"]["test"]["auc"]}
