"""However a command ends, whoever it started ends too, and what it had begun goes on to the same bits.

All of its processes hold its standard output: once that ends, none of them is left.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from in_process import told
from msd_files import Decathlon, organ, voxels
from safetensors.torch import load_file

from activmask.runs.folder import read_history

STREAMING = [sys.executable, str(Path(__file__).with_name("streaming_command.py"))]
TRAIN = ("--model", "cnn", "--width", "4", "--lr", "1e-3", "--actdiff", "1", "--threads", "1")
ENDLESS = 100_000
GRID = """
seeds = 1
[base]
model = "cnn"
width = 4
lr = 1e-3
actdiff = 1.0
threads = 1
[axes.method]
"Actdiff" = {}
"""
TERMINATED, KILLED = (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)
ENDINGS = pytest.mark.parametrize(("sent", "code"), [TERMINATED, KILLED], ids=["TERM", "KILL"])


def scratch_of(place: Path) -> Path:
    """A folder for temporary files whose name is short enough for the sockets in it."""
    return place.parent / place.name[-8:]


def begun(*arguments: object, cwd: Path, **more) -> subprocess.Popen[str]:
    scratch = scratch_of(cwd)
    scratch.mkdir()
    return subprocess.Popen(
        [*STREAMING, *map(str, arguments)],
        cwd=cwd,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "TMPDIR": str(scratch),
            # A cache that torch keeps for its next process, by default among the temporary files.
            "TORCHINDUCTOR_CACHE_DIR": f"{scratch}.kept",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def descendants(process: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    ).stdout
    children = [int(child) for child in listed.split()]
    return [one for child in children for one in (child, *descendants(child))]


def wait_until(holds, process) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)  # noqa: TID251 - between two looks at what holds


def ended(process: subprocess.Popen[str], sent: int, code: int) -> str:
    """What it said, once nobody whom it started is left."""
    family = descendants(process.pid)
    process.send_signal(sent)
    try:
        _, said = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        left = [one for one in family if Path(f"/proc/{one}").exists()]
        for one in left:
            os.kill(one, signal.SIGKILL)
        process.kill()
        process.communicate()
        pytest.fail(f"{len(left)} of {len(family)} processes outlived the command")
    assert process.returncode == code, said
    assert "Traceback" not in said
    if sent == signal.SIGTERM:
        assert "ended by SIGTERM" in said
    return said


def hidden(place: Path) -> list[str]:
    return [path.name for path in place.rglob(".*")] + [path.name for path in scratch_of(place).iterdir()]


def outcome(folder: Path) -> tuple[object, ...]:
    timed = {"seconds", "images_per_second"}
    rows = [{name: row[name] for name in row if name not in timed} for row in read_history(folder)]
    weights = {
        name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "best.safetensors").items()
    }
    return rows, (folder / "metrics.json").read_text(), weights


@pytest.mark.process
@ENDINGS
def test_preparing_leaves_nobody(tmp_path, sent, code):
    task = Decathlon(tmp_path / "Task")
    shape = (160, 160, 40)
    for case in range(8):
        task.case(f"scan_{case}", voxels(case, shape), organ(shape))
    with begun("prepare-msd", "Task", "--workers", 2, "--out", "out", cwd=tmp_path) as process:
        # The tracker of shared memory is one more.
        wait_until(lambda: len(descendants(process.pid)) >= 3, process)
        ended(process, sent, code)
    assert not (tmp_path / "out").exists()
    assert sent == signal.SIGKILL or hidden(tmp_path) == []


def a_little_more(folder: Path) -> int:
    """Epochs, of which at least one is new: a state may be one ahead of its history."""
    return len(read_history(folder)) + 2


def assert_as_if_never_stopped(folder: Path, crosses: Path, epochs: int, place: Path) -> None:
    told("train", *TRAIN, "--data", crosses, "--epochs", epochs, "--out", "straight", cwd=place)
    assert outcome(folder) == outcome(place / "straight/seed-0")


@pytest.mark.process
@ENDINGS
def test_a_training_that_streams_leaves_nobody_and_goes_on(crosses, tmp_path, sent, code):
    command, folder = ("train", *TRAIN, "--data", crosses, "--out", "run"), tmp_path / "run/seed-0"
    with begun(*command, "--epochs", ENDLESS, cwd=tmp_path) as process:
        wait_until((folder / "history.csv").exists, process)
        said = ended(process, sent, code)
    assert sent == signal.SIGKILL or ("--resume" in said and hidden(tmp_path) == [])
    epochs = a_little_more(folder)
    told(*command, "--epochs", epochs, "--resume", cwd=tmp_path)
    assert_as_if_never_stopped(folder, crosses, epochs, tmp_path)


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
@ENDINGS
def test_a_sweep_leaves_nobody_not_even_those_who_read_for_its_cells(crosses, tmp_path, sent, code):
    (tmp_path / "own.toml").write_text(GRID)
    command = ("sweep", "own.toml", "--data", crosses, "--out", "runs", "--device", "cpu")
    folder = tmp_path / "runs/actdiff/seed-0"
    with begun(*command, "--epochs", ENDLESS, cwd=tmp_path) as process:
        wait_until((folder / "history.csv").exists, process)
        said = ended(process, sent, code)
    assert sent == signal.SIGKILL or ("the same command again" in said and hidden(tmp_path) == [])
    epochs = a_little_more(folder)
    told(*command, "--epochs", epochs, cwd=tmp_path)
    assert_as_if_never_stopped(folder, crosses, epochs, tmp_path)
