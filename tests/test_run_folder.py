"""A run's folder that was damaged is refused in a sentence, whatever is in it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activmask.ground.errors import ActivmaskError, CheckpointError
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.folder import RUN_FILE, read_facts, read_history, read_metrics, read_written_config
from activmask.runs.making import make_config
from activmask.training.run import train

READERS = {
    "metrics.json": lambda path: read_metrics(path.parent),
    "run.json": lambda path: read_written_config(path.parent),
    "history.csv": lambda path: read_history(path.parent),
    "best.safetensors": load_checkpoint,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def finished(crosses, tmp_path_factory) -> Path:
    config = make_config(data=str(crosses), model="cnn", width=2, epochs=1)
    [result] = train(config, out=tmp_path_factory.mktemp("runs") / "run")
    return result.folder


def fed(reader, path: Path) -> None:
    """Read `path`; anything but success and a user's error fails the test."""
    try:
        reader(path)
    except ActivmaskError as error:
        assert str(path) in str(error)  # noqa: PT017 - success is as good


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60)
@given(data=st.data())
def test_mutated_files_never_crash_a_reader(finished, tmp_path, name, data):
    content = bytearray((finished / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 2000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    fed(READERS[name], path)


@pytest.mark.parametrize("name", ["metrics.json", "run.json"])
@settings(max_examples=60)
@given(value=JSON)
def test_any_json_is_refused_or_read(tmp_path, name, value):
    path = tmp_path / name
    path.write_text(json.dumps(value))
    with pytest.raises(CheckpointError, match=name):
        READERS[name](path)


def test_a_damaged_result_is_not_taken_for_a_finished_run(crosses, tmp_path):
    config = make_config(data=str(crosses), model="cnn", width=2, epochs=1)
    [result] = train(config, out=tmp_path / "run")
    (result.folder / "metrics.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"metrics\.json"):
        train(config, out=tmp_path / "run")
    [anew] = train(config, out=tmp_path / "run", overwrite=True)
    assert anew.trained


def test_entries_of_a_description_are_read_as_they_stand_or_refused(tmp_path):
    (tmp_path / RUN_FILE).write_text('{"images": {"train": 3}}')
    assert read_facts(tmp_path, ("images",)) == {"images": {"train": 3}}
    with pytest.raises(CheckpointError, match=r"run\.json is missing or damaged \(lacks 'device'\)"):
        read_facts(tmp_path, ("images", "device"))
