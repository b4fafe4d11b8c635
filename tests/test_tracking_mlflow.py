"""Runs of MLflow, read by its own client: what they hold, and that a run stopped and resumed stays one."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
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
