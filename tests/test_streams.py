"""The program on streams that are full, closed, deaf to most letters, or read by somebody who left."""

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from activmask_cli import console
from activmask_cli.app import app
from activmask_cli.console import PlainConsole
from activmask_cli.streams import OUTPUT_LOST, PIPE_CLOSED, Stream, readable
from activmask_cli.tables import print_table, result_table, stacked
from hostile import HOSTILE
from in_process import told
from summary_runs import write_run
from user_folder import cats_and_dogs
from xray_files import Collections

PROGRAM = Path(sys.executable).with_name("activmask")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
ASCII = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
QUICK = ("--model", "cnn", "--width", "4", "--lr", "1e-3", "--epochs", "1")
FULL = "/dev/full"


@pytest.fixture
def runs(tmp_path) -> Path:
    """Finished runs whose table has a mean and a deviation, and a name in other letters."""
    write_run(tmp_path / "runs/é中", {0: 0.3, 1: 0.5}, data="data/Médecin")
    write_run(tmp_path / "runs/b", {0: 0.4, 1: 0.6}, actdiff=10.0, data="data/Médecin")
    return tmp_path / "runs"


@pytest.fixture
def closed_pipe():
    """The end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full():
    number = os.open(FULL, os.O_WRONLY)
    yield number
    os.close(number)


def text_of(stream: Stream) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(stream), "utf-8")


def ended(stream: Stream, monkeypatch, *arguments: object) -> int | str | None:
    """How the command line ends in this process when its results go to a stream."""
    monkeypatch.setattr(sys, "stdout", text_of(stream))
    with pytest.raises(SystemExit) as end:
        app([str(argument) for argument in arguments])
    return end.value.code


COMMANDS = {
    "help": ("--help",),
    "version": ("--version",),
    "train": ("train", "--help"),
    "dry run": ("train", "--dry-run"),
    "make-synthetic": ("make-synthetic", "--n", 4, "--valid", 4, "--test", 4),
    "prepare-folder": ("prepare-folder", "images", "--labels", "labels.csv"),
    "prepare-xray": ("prepare-xray", "--nih", "x/NIH", "--padchest", "x/PadChest", "--dry-run"),
    "table": ("table", "runs"),
    "csv": ("table", "runs", "--format", "csv"),
    "json": ("table", "runs", "--format", "json"),
    "demo": ("demo", "--epochs", 1),
}


@pytest.fixture
def inputs(runs, tmp_path, monkeypatch) -> Path:
    cats_and_dogs(tmp_path)
    Collections(tmp_path / "x", n=4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_results_that_cannot_be_written_are_told(inputs, full, command, monkeypatch, capsys):
    stream = Stream(full, console.tell_error)
    assert ended(stream, monkeypatch, *COMMANDS[command]) == OUTPUT_LOST
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1] == "error: the output cannot be written (No space left on device); send it elsewhere"
    assert sum("error" in line for line in said) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_who_left_ends_the_program_quietly(inputs, closed_pipe, command, monkeypatch, capsys):
    stream = Stream(closed_pipe, console.tell_error)
    assert ended(stream, monkeypatch, *COMMANDS[command]) == PIPE_CLOSED
    assert "error" not in capsys.readouterr().err


def test_a_lost_stream_takes_everything_and_says_so_once(full):
    said: list[str] = []
    text = text_of(Stream(full, said.append))
    text.write("a")
    with pytest.raises(SystemExit):
        text.flush()
    text.write("b")
    text.close()
    assert len(said) == 1


def test_a_thread_leaves_the_end_to_the_program(closed_pipe):
    stream = Stream(closed_pipe, pytest.fail)
    thread = threading.Thread(target=stream.write, args=(b"bar",))
    thread.start()
    thread.join()
    assert stream.lost == PIPE_CLOSED
    with pytest.raises(SystemExit):
        stream.write(b"x")


def test_a_reader_that_is_slow_gets_everything():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    text, content = text_of(Stream(writing, pytest.fail)), "x" * 1_000_000
    found: list[bytes] = []
    with os.fdopen(reading, "rb") as reader:
        thread = threading.Thread(target=lambda: found.append(reader.read()))
        thread.start()
        text.write(content)
        text.flush()
        os.close(writing)
        thread.join()
    assert found == [content.encode()]


def test_other_losses_are_told_by_their_names():
    said: list[str] = []
    with open(os.devnull, "rb") as unwritable, pytest.raises(SystemExit):  # noqa: PTH123
        Stream(unwritable.fileno(), said.append).write(b"x")
    assert os.strerror(errno.EBADF) in said[0]


def in_ascii(*, show) -> str:
    file = io.TextIOWrapper(io.BytesIO(), "ascii", newline="\n")
    show(PlainConsole(file=file, color_system=None))
    file.flush()
    return file.buffer.getvalue().decode("ascii")


def test_an_ascii_terminal_gets_substitutes_in_straight_columns():
    table = result_table("Médecin ± 中", "run", "AUC")
    table.add_row("é", "0.5 ± 0.1")
    table.add_row("plain", stacked(["0.4 ± 0.2", "…"]))
    lines = in_ascii(show=lambda one: print_table(table, one)).splitlines()
    assert lines[0].strip() == r"M\xe9decin +/- \u4e2d"
    assert "0.5 +/- 0.1" in lines[4]
    assert r"\xe9" in lines[4]
    assert len({len(line.rstrip()) for line in lines[1:]}) == 1


def test_an_ascii_terminal_gets_every_sentence():
    assert in_ascii(show=lambda one: one.print(HOSTILE)).startswith(r"=a[/b]:skull:[red]\x1b[31m")
    assert readable("− – × → ±", "ascii") == "- - x -> +/-"
    assert readable("− ± é", "latin-1") == "- ± é"


def run(*arguments: object, code: int, env: dict[str, str] = ENVIRONMENT, **streams):
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    result = subprocess.run([PROGRAM, *map(str, arguments)], env=env, check=False, **given)
    assert result.returncode == code, result.stderr
    assert b"Traceback" not in (result.stderr or b"")
    assert b"Exception ignored" not in (result.stderr or b"")
    return result


@pytest.mark.process
def test_a_table_to_a_full_disk(runs, full):
    said = run("table", runs, code=OUTPUT_LOST, stdout=full).stderr.decode()
    assert said == "error: the output cannot be written (No space left on device); send it elsewhere\n"
    run("train", "--epochs", 0, code=2, stderr=full)


@pytest.mark.process
def test_a_reader_who_leaves_while_it_trains(crosses, tmp_path, closed_pipe):
    flags = ("train", *QUICK, "--data", crosses, "--out", tmp_path / "run")
    result = run(*flags, code=PIPE_CLOSED, stderr=closed_pipe)
    assert result.stdout == b""
    bar = {**ENVIRONMENT, "FORCE_COLOR": "1", "TERM": "xterm"}
    run(*flags, "--overwrite", code=PIPE_CLOSED, stdout=closed_pipe, stderr=closed_pipe, env=bar)


@pytest.mark.process
def test_talk_that_is_lost_ends_no_training(crosses, tmp_path, full):
    flags = ("train", *QUICK, "--data", crosses, "--out", tmp_path / "run")
    result = run(*flags, code=OUTPUT_LOST, stderr=full)
    assert b"the best epoch is the first epoch" in result.stdout
    assert (tmp_path / "run/seed-0/metrics.json").exists()


@pytest.mark.process
def test_closed_streams_are_no_files(tmp_path):
    command = f"exec '{PROGRAM}' make-synthetic --n 4 --valid 4 --test 4 --out set <&- >&- 2>&-"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=ENVIRONMENT, check=True)
    assert (tmp_path / "set/metadata.csv").read_bytes().startswith(b"file_name,")


@pytest.mark.process
def test_an_ascii_locale(runs):
    assert "±" in told("table", runs, cwd=runs).stdout
    shown = run("table", runs, code=0, env=ASCII).stdout.decode("ascii")
    assert "+/-" in shown
    assert r"M\xe9decin" in shown
    # In such a locale the words of the command line are bytes.
    assert rb"\xe4\xb8\xad" in run("table", "中", code=3, env=ASCII).stderr


@pytest.mark.process
def test_a_folder_that_is_gone(tmp_path):
    def in_it(*words: str) -> subprocess.CompletedProcess[str]:
        script = f"mkdir '{tmp_path}/gone' && cd '{tmp_path}/gone' && rmdir '{tmp_path}/gone' && exec \"$@\""
        command = ["bash", "-c", script, "-", str(PROGRAM), *words]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    assert "Usage" in in_it("train", "--help").stdout
    for words in (("train",), ("demo",)):
        result = in_it(*words)
        assert result.returncode == 3
        assert result.stderr.startswith("error: the folder in which this was started is gone")
        assert len(result.stderr.splitlines()) == 1
