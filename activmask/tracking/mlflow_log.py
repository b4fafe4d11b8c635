"""One seed as a run of MLflow, by its client alone: no global state of `mlflow.start_run` is touched.

Where `MLFLOW_TRACKING_URI` says nothing, runs lie in files. A seed's folder keeps the run's id, by which
it goes on.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from activmask.ground.errors import DataError
from activmask.ground.shown import shown
from activmask.tracking.log import Known, leave_mark, mark_of
from activmask.training.replicas.replica import Replica

_URI = "MLFLOW_TRACKING_URI"
_EXPERIMENT = "activmask"
_BRIEF = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""How often, and for how many seconds, a server is asked whether it is there."""
_MOST_CHARACTERS = 500
"""Of a setting, which every server takes."""
_AT_ONCE = 100
"""Settings of one request."""


class MlflowLog:
    """One seed's run."""

    def __init__(self, replica: Replica, *, anew: bool) -> None:
        """Continue the run that the seed's folder names, or begin one.

        Args:
            replica: whose run it is.
            anew: begin one, and leave the other as it is.

        Raises:
            DataError: no server answers, or it refuses; or the run that is named is no longer there.
        """
        self._uri = os.environ.get(_URI) or _own_store(replica)
        with _refusals(self._uri):
            self._client = _client(self._uri)
            mark = {} if anew else mark_of(replica.folder, "mlflow", replica.run_sha256)
            self._id = mark.get("id", "")
            if self._id:
                self._client.get_run(self._id)
                self._client.update_run(self._id, status="RUNNING")
                return
            name = shown(f"{replica.folder.absolute().parent.name} seed {replica.seed}")
            self._id = self._client.create_run(self._experiment(), run_name=name).info.run_id
        leave_mark(replica.folder, "mlflow", replica.run_sha256, id=self._id)

    def known(self) -> Known:
        """Metrics with steps, and pictures."""
        found: Known = set()
        with _refusals(self._uri):
            for name in self._client.get_run(self._id).data.metrics:
                found |= {(name, one.step) for one in self._client.get_metric_history(self._id, name)}
            for one in self._client.list_artifacts(self._id, "saliency"):
                number, _, step = Path(one.path).stem.partition("-epoch-")
                if step.isdigit():
                    found.add((f"saliency/{number}", int(step)))
        return found

    def settings(self, values: Mapping[str, str | float]) -> None:
        """Keep them as parameters; those that may change when a run goes on stay as they began."""
        from mlflow.entities import Param

        with _refusals(self._uri):
            kept = self._client.get_run(self._id).data.params
            new = [
                Param(name, str(value)[:_MOST_CHARACTERS])
                for name, value in values.items()
                if name not in kept
            ]
            for first in range(0, len(new), _AT_ONCE):
                self._client.log_batch(self._id, params=new[first : first + _AT_ONCE])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep them as metrics, in one request."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        with _refusals(self._uri):
            self._client.log_batch(
                self._id, metrics=[Metric(name, value, now, step) for name, value in values.items()]
            )

    def picture(self, step: int, name: str, png: bytes) -> None:
        """Keep a picture as an artifact."""
        folder, _, number = name.partition("/")
        with _refusals(self._uri), TemporaryDirectory() as aside:
            path = Path(aside) / f"{number}-epoch-{step}.png"
            path.write_bytes(png)
            self._client.log_artifact(self._id, str(path), folder)

    def finished(self) -> None:
        """Say so."""
        with _refusals(self._uri):
            self._client.set_terminated(self._id, "FINISHED")

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)


def check_server() -> None:
    """Refuse a server that `MLFLOW_TRACKING_URI` names and that does not answer (raises DataError).

    MLflow itself tries for minutes, which are of use in the middle of a training and not before it.
    """
    if uri := os.environ.get(_URI):
        brief = {name: value for name, value in _BRIEF.items() if name not in os.environ}
        with _refusals(uri, f"check {_URI} and that the server runs"), _set(brief):
            _client(uri).search_experiments(max_results=1)


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    # Recent versions take a folder on demand alone.
    with _set({"MLFLOW_ALLOW_FILE_STORE": "true"}):
        return MlflowClient(tracking_uri=uri)


_ADVICE = f"check {_URI} and what it names, then resume, or overwrite to begin a new run"


@contextmanager
def _refusals(uri: str, advice: str = _ADVICE) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        secret = uri.partition("://")[2].rpartition("@")[0]
        first = str(error).splitlines()[0]
        # Its own words for it are those of three libraries, one inside the other.
        unanswered = "Max retries exceeded" in first
        said = f"MLflow at {uri} {'does not answer' if unanswered else f'refuses ({first})'}"
        raise DataError(said.replace(f"{secret}@", "") if secret else said, advice=advice) from error


def _own_store(replica: Replica) -> str:
    return (replica.folder.absolute().parent / "tracking" / "mlflow").as_uri()


@contextmanager
def _set(values: Mapping[str, str]) -> Iterator[None]:
    """Have variables of the environment meanwhile, which are all that MLflow listens to."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
