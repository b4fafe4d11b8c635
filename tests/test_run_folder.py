"""A run's folder that was damaged is refused in a sentence, whatever is in it."""

import json
import os
import shutil
import signal
from pathlib import Path
from random import Random

import pytest
from held_processes import FROM_A_TERMINAL, as_from_a_terminal
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated_json import STRANGE, inside, places

from activmask.ground.errors import ActivmaskError, CheckpointError
from activmask.ground.interrupts import termination_raised
from activmask.report.findings.account import account
from activmask.report.findings.summary import summarise
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.clearing import clear
from activmask.runs.folder import (
    FILES,
    RUN_FILE,
    read_facts,
    read_history,
    read_metrics,
    read_presence,
    read_written_config,
)
from activmask.runs.making import make_config
from activmask.runs.results import find_runs
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


@pytest.mark.process
@pytest.mark.parametrize("name", ["run.json", "metrics.json"])
def test_an_entry_of_another_kind_is_refused_or_read_by_nobody(finished, tmp_path, name):
    run = shutil.copytree(finished.parent, tmp_path / "run")
    path = run / "seed-0" / name
    whole = json.loads(path.read_text())
    random = Random(0)
    for *way, last in places(whole):
        for strange in random.sample(STRANGE, 4):
            damaged = json.loads(json.dumps(whole))
            inside(damaged, way)[last] = strange
            path.write_text(json.dumps(damaged))
            try:
                account(summarise(find_runs([run])))
                read_presence(run / "seed-0")
            except CheckpointError as error:
                assert str(path.parent) in str(error)  # noqa: PT017 - success is as good


@pytest.mark.parametrize("rows", [1, 3])
def test_a_history_of_other_epochs_than_the_metrics_tell_of_is_not_drawn(crosses, tmp_path, rows):
    config = make_config(data=str(crosses), model="cnn", width=2, epochs=2)
    [result] = train(config, out=tmp_path / "run")
    history = result.folder / "history.csv"
    lines = history.read_text().splitlines(keepends=True)
    history.write_text("".join([*lines, lines[-1]][: 1 + rows]))
    with pytest.raises(CheckpointError, match=rf"it holds {rows} rows, of 2 epochs from 0 on"):
        find_runs([tmp_path / "run"])
    with pytest.raises(CheckpointError, match=r"history\.csv .*resume its run"):
        train(config, out=tmp_path / "run")
    train(config, out=tmp_path / "run", resume=True)
    [run] = find_runs([tmp_path / "run"])
    assert len(run.histories()[0]) == 2


def filled(folder):
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).touch()
        (folder / f".{name}.partial").touch()
    (folder / "pictures").mkdir()
    for name in ("pictures/mine.png", "notes.txt", ".notes.partial"):
        (folder / name).touch()
    return folder


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


FOREIGN = {"pictures", "pictures/mine.png", "notes.txt", ".notes.partial"}


@pytest.mark.parametrize("linked", [False, True])
def test_files_of_others_stay(tmp_path, linked):
    folder = filled(tmp_path / ("elsewhere" if linked else "seed-0"))
    if linked:
        (tmp_path / "seed-0").symlink_to(folder)
    clear(tmp_path / "seed-0")
    assert names(tmp_path / "seed-0") == FOREIGN
    assert (tmp_path / "seed-0").is_symlink() == linked
    assert not (tmp_path / ".seed-0.cleared").exists()


def test_a_clearing_that_was_cut_off_is_finished(tmp_path):
    filled(tmp_path / ".seed-0.cleared")
    clear(tmp_path / "seed-0")
    assert names(tmp_path) == {"seed-0", *(f"seed-0/{name}" for name in FOREIGN)}


@pytest.mark.parametrize("sent", FROM_A_TERMINAL, ids=lambda sent: sent.name)
@pytest.mark.parametrize("name", ["rename", "unlink"])
def test_a_request_to_end_that_comes_while_a_run_is_cleared_leaves_nothing_hidden(
    tmp_path, monkeypatch, name, sent
):
    filled(tmp_path / "seed-0")
    real = getattr(os, name)

    def struck(*arguments, **more):
        signal.raise_signal(sent)
        return real(*arguments, **more)

    with as_from_a_terminal(), termination_raised(), monkeypatch.context() as patch:
        patch.setattr(os, name, struck)
        with pytest.raises(KeyboardInterrupt):
            clear(tmp_path / "seed-0")
    assert names(tmp_path) == {"seed-0", *(f"seed-0/{name}" for name in FOREIGN)}


def test_a_folder_made_meanwhile_is_cleared_too_and_foreign_files_are_kept_apart(tmp_path):
    filled(tmp_path / ".seed-0.cleared")
    filled(tmp_path / "seed-0")
    with pytest.raises(CheckpointError, match=r"\.seed-0\.cleared holds files .*move them elsewhere"):
        clear(tmp_path / "seed-0")
    assert names(tmp_path / ".seed-0.cleared") == FOREIGN
    assert names(tmp_path / "seed-0") > FOREIGN


def test_nothing_there_is_nothing_done(tmp_path):
    clear(tmp_path / "seed-0")
    assert names(tmp_path) == set()
    (tmp_path / "seed-0").mkdir()
    clear(tmp_path / "seed-0")
    assert names(tmp_path) == {"seed-0"}
