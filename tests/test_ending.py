"""How the command line ends when it is asked to, wherever it is at that moment."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from activmask_cli import console
from activmask_cli.console import ending_on_request, failures_as_sentences
from activmask_cli.streams import with_own_streams
from held_processes import FROM_A_TERMINAL, as_from_a_terminal
from typer import Exit

HANGING_UP = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == {at!r}:
            os.kill(os.getpid(), signal.{sent})

sys.meta_path.insert(0, Finder())
sys.argv = ["activmask", "train", "--model", "cnn", "--epochs", "1", "--out", {out!r}]
from activmask_cli.app import main
main()
"""


@pytest.fixture(autouse=True)
def told_nobody():
    with as_from_a_terminal():
        yield
        assert {number: signal.getsignal(number) for number in FROM_A_TERMINAL} == FROM_A_TERMINAL


@pytest.mark.process
@pytest.mark.parametrize(
    ("sent", "at", "code"), [("SIGTERM", "torch._C", 143), ("SIGHUP", "numpy", 129), ("SIGTERM", "PIL", 143)]
)
def test_a_request_during_imports_ends_the_command(tmp_path, sent, at, code):
    program = HANGING_UP.format(sent=sent, at=at, out=str(tmp_path / "run"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == f"ended by {sent}"
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def in_a_command(sent):
    try:
        with failures_as_sentences():
            signal.raise_signal(sent)
    except Exit as leaving:
        # As typer does.
        sys.exit(leaving.exit_code)


def importing_what_wraps_errors():
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as stop:
        raise ImportError("initialisation failed") from stop


@pytest.mark.parametrize(("sent", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("inside", [True, False], ids=["in a command", "before it"])
def test_the_code_is_that_of_the_signal_and_is_told_once(capsys, sent, code, inside):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as ended, ending_on_request():
            in_a_command(getattr(signal, sent)) if inside else signal.raise_signal(getattr(signal, sent))
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == code
    assert capsys.readouterr().err == ("interrupted\n" if sent == "SIGINT" else f"ended by {sent}\n")


def test_what_a_request_became_on_its_way_ends_the_command_too(capsys):
    with pytest.raises(SystemExit) as ended, ending_on_request():
        importing_what_wraps_errors()
    assert ended.value.code == 143
    assert capsys.readouterr().err == "ended by SIGTERM\n"


def interrupted_by_a_library():
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    raise KeyboardInterrupt


def test_the_code_is_that_of_the_signal_also_where_a_library_forgot_it(capsys):
    with pytest.raises(SystemExit) as ended, ending_on_request():
        interrupted_by_a_library()
    assert ended.value.code == 143
    assert capsys.readouterr().err == "ended by SIGTERM\n"


@pytest.mark.parametrize("sent", FROM_A_TERMINAL, ids=lambda sent: sent.name)
def test_the_program_ends_its_children_whichever_request_it_was(monkeypatch, sent):
    ended: list[str] = []
    monkeypatch.setattr(console, "end_children", lambda: ended.append("all"))
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    with pytest.raises(SystemExit) as leaving, ending_on_request():
        with_own_streams(lambda: in_a_command(sent), print)
    assert leaving.value.code == 128 + sent
    assert ended == ["all"]


def test_other_errors_and_ends_pass():
    with pytest.raises(KeyError), ending_on_request():
        raise KeyError("a defect")
    with pytest.raises(SystemExit) as ended, ending_on_request():
        sys.exit(2)
    assert ended.value.code == 2


def test_a_terminal_that_hung_up_takes_no_words_but_the_code_stands(monkeypatch):
    def gone(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(console.err, "print", gone)
    with pytest.raises(SystemExit) as ended, ending_on_request():
        signal.raise_signal(signal.SIGHUP)
    assert ended.value.code == 129


def test_a_full_disk_that_nobody_foresaw_is_a_sentence_and_a_lost_path_is_a_defect(capsys):
    with pytest.raises(Exit) as ended, failures_as_sentences():
        raise OSError(errno.ENOSPC, "No space left on device", "/data/x")
    assert ended.value.exit_code == 3
    assert capsys.readouterr().err == (
        "error: /data/x cannot be used (No space left on device); free the disk or choose another place\n"
    )
    with pytest.raises(FileNotFoundError), failures_as_sentences():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "ours")
