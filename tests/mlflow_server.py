"""A server of MLflow by its REST interface (2.0), kept in memory, for what the tracker asks of one."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Kept:
    """What a server was told."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.refused: set[str] = set()
        """Paths that are answered by an error of the server's own."""

    def series(self, run: str, name: str) -> dict[int, float]:
        values = [one for one in self.runs[run]["metrics"] if one["key"] == name]
        assert len({one["step"] for one in values}) == len(values)
        return {one["step"]: one["value"] for one in values}


@contextmanager
def mlflow_server() -> Iterator[tuple[str, Kept]]:
    """Its address, and what it keeps."""
    kept = Kept()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            self._answer(place.path, {name: values[0] for name, values in parse_qs(place.query).items()})

        def do_POST(self) -> None:
            self._answer(urlsplit(self.path).path, json.loads(self._body() or b"{}"))

        def do_PUT(self) -> None:
            kept.artifacts[re.sub(r".*/artifacts/", "", urlsplit(self.path).path)] = self._body()
            self._send(200, {})

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, path: str, told: dict[str, Any]) -> None:
            path = path.partition("/api/2.0/")[2]
            kept.asked.append(path)
            if path in kept.refused:
                self._send(400, {"error_code": "INVALID_STATE", "message": "the disk of the server is full"})
            elif path in ANSWERS and (found := ANSWERS[path](kept, told)) is not None:
                self._send(200, found)
            else:
                self._send(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no {path} of {told}"})

        def _send(self, code: int, found: dict[str, Any]) -> None:
            content = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _by_name(kept: Kept, told: dict[str, Any]) -> dict[str, Any] | None:
    name = told["experiment_name"]
    if name not in kept.experiments:
        return None
    return {
        "experiment": {"experiment_id": kept.experiments[name], "name": name, "lifecycle_stage": "active"}
    }


def _new_experiment(kept: Kept, told: dict[str, Any]) -> dict[str, Any]:
    return {"experiment_id": kept.experiments.setdefault(told["name"], str(len(kept.experiments) + 1))}


def _new_run(kept: Kept, told: dict[str, Any]) -> dict[str, Any]:
    number = f"{len(kept.runs) + 1:032x}"
    info = {
        "run_id": number,
        "run_uuid": number,
        "experiment_id": told["experiment_id"],
        "run_name": told["run_name"],
        "status": "RUNNING",
        "artifact_uri": f"mlflow-artifacts:/{told['experiment_id']}/{number}/artifacts",
        "lifecycle_stage": "active",
    }
    kept.runs[number] = {"info": info, "params": {}, "metrics": []}
    return _run(kept, {"run_id": number}) or {}


def _run(kept: Kept, told: dict[str, Any]) -> dict[str, Any] | None:
    found = kept.runs.get(told["run_id"])
    if found is None:
        return None
    latest = {one["key"]: one for one in found["metrics"]}
    params = [{"key": key, "value": value} for key, value in found["params"].items()]
    return {"run": {"info": found["info"], "data": {"params": params, "metrics": [*latest.values()]}}}


def _update(kept: Kept, told: dict[str, Any]) -> dict[str, Any]:
    info = kept.runs[told["run_id"]]["info"]
    info |= {name: told[name] for name in ("status", "end_time") if name in told}
    return {"run_info": info}


def _batch(kept: Kept, told: dict[str, Any]) -> dict[str, Any]:
    run = kept.runs[told["run_id"]]
    run["params"] |= {one["key"]: one["value"] for one in told.get("params", [])}
    run["metrics"] += [{**one, "step": int(one.get("step", 0))} for one in told.get("metrics", [])]
    return {}


def _history(kept: Kept, told: dict[str, Any]) -> dict[str, Any]:
    values = kept.runs[told["run_id"]]["metrics"]
    return {"metrics": [one for one in values if one["key"] == told["metric_key"]]}


def _listed(kept: Kept, told: dict[str, Any]) -> dict[str, Any]:
    folder = told.get("path", "")
    inside = [name.removeprefix(f"{folder}/") for name in kept.artifacts if name.startswith(f"{folder}/")]
    return {"files": [{"path": name, "is_dir": False, "file_size": 1} for name in inside]}


ANSWERS = {
    "mlflow/experiments/search": lambda _kept, _told: {"experiments": []},
    "mlflow/experiments/get-by-name": _by_name,
    "mlflow/experiments/create": _new_experiment,
    "mlflow/runs/create": _new_run,
    "mlflow/runs/get": _run,
    "mlflow/runs/update": _update,
    "mlflow/runs/log-batch": _batch,
    "mlflow/metrics/get-history": _history,
    "mlflow-artifacts/artifacts": _listed,
}
