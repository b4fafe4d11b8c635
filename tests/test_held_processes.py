"""A program is held exactly where a test asks, and one that never comes there fails that test."""

import sys

import pytest
from held_processes import held, last_words, started, wait_for

pytestmark = pytest.mark.process

RENAMES = "import os; [os.rename(f'{n}.part', f'{n}.csv') for n in range(3)]"


@pytest.fixture
def place(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.part").touch()
    return tmp_path


@pytest.mark.parametrize("times", [1, 3])
def test_it_halts_before_the_event_in_a_process_that_it_started(place, times):
    command = [
        sys.executable,
        "-c",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {RENAMES!r}])",
    ]
    with held(command, "os.rename", r"\.csv$", times=times, cwd=place) as process:
        assert len(list(place.glob("*.csv"))) == times - 1
        assert process.poll() is None
    assert process.returncode


def test_it_goes_on_where_it_need_not_halt(place):
    with held([sys.executable, "-c", RENAMES], "os.rename", "csv", halts=False, cwd=place) as process:
        last_words(process)
    assert len(list(place.glob("*.csv"))) == 3


def test_one_that_ends_before_is_told_with_its_words(place):
    command = [sys.executable, "-c", "raise SystemExit('some other end')"]
    with (
        pytest.raises(AssertionError, match="ended before it said 'held': some other end"),
        held(command, "os.rename", "csv", cwd=place),
    ):
        pass


def test_the_last_words_come_when_the_last_child_has_ended(place):
    late = "import sys; sys.stdin.read(); sys.stderr.write('the child')"
    # The child lives until its parent, which holds the other end of its stdin, is gone.
    parent = (
        "import subprocess, sys, signal; "
        f"child = subprocess.Popen([sys.executable, '-c', {late!r}], stdin=subprocess.PIPE); "
        "sys.stderr.write('up\\n'); sys.stderr.flush(); signal.pause()"
    )
    with started([sys.executable, "-c", parent], cwd=place) as process:
        wait_for(process, "up")
        process.kill()
        assert last_words(process) == "the child"
