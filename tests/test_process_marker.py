"""A test without the marker cannot start a process, and is named where it takes long; one with it may."""

import importlib
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from process_marker import SECONDS, clocked, only_where_marked, too_long

NOTHING = [sys.executable, "-I", "-S", "-c", "pass"]


def with_a_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(os.getpid)


STARTS = {
    "a command": lambda: subprocess.run(NOTHING, check=True),
    "a shell": lambda: subprocess.check_output("true", shell=True),
    "a pool": with_a_pool,
    "multiprocessing, spawned": lambda: get_context("spawn").Process(target=os.getpid).start(),
    "multiprocessing, forked": lambda: get_context("fork").Process(target=os.getpid).start(),
    "fork": lambda: os.fork() or os._exit(0),
    "spawn": lambda: os.posix_spawn(sys.executable, NOTHING, os.environ),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_an_unmarked_test_starts_no_process(start):
    with pytest.raises(pytest.fail.Exception, match=r"mark it with @pytest\.mark\.process"):
        start()


@pytest.mark.process
def test_a_marked_one_may(request):
    assert subprocess.run(NOTHING, check=True).returncode == 0
    with only_where_marked(request.node):
        assert subprocess.run(NOTHING, check=True).returncode == 0


def test_what_an_import_starts_belongs_to_no_test(tmp_path, monkeypatch):
    """Or whichever test is the first of its process to import it would fail."""
    monkeypatch.syspath_prepend(tmp_path)
    starts = f"import subprocess; code = subprocess.run({NOTHING}).returncode"
    (tmp_path / "starts_a_process.py").write_text(starts)
    assert importlib.import_module("starts_a_process").code == 0


def test_a_fixture_counts_as_its_test(refusal):
    assert "mark it" in refusal


@pytest.fixture
def refusal():
    with pytest.raises(pytest.fail.Exception) as refused:
        subprocess.run(NOTHING, check=True)
    return str(refused.value)


def report(seconds: float, **keywords: int) -> SimpleNamespace:
    item = SimpleNamespace(user_properties=[])
    with patch.object(time, "process_time", iter([1.0, 1.0 + seconds]).__next__), clocked(item):
        pass
    return SimpleNamespace(nodeid=f"{seconds}", user_properties=item.user_properties, keywords=keywords)


def test_only_long_tests_without_the_marker_are_named():
    reports = [report(SECONDS - 1), report(SECONDS + 2), report(SECONDS + 3, process=1)]
    assert too_long(reports) == ["7 s of CPU time without the marker process: 7.0"]
