"""A file system that refuses, at any moment of a training, costs a sentence and nothing else."""

import builtins
import errno
import io
import os
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from in_process import told
from safetensors.torch import load_file

from activmask.experiments.cells import Cell
from activmask.experiments.jobs import is_finished, make_jobs, run_job
from activmask.ground.errors import DataError
from activmask.ground.files import write_whole
from activmask.ground.refusals import refusals_under, refused, sure_refusal
from activmask.runs.description import RunConfig
from activmask.runs.folder import read_history
from activmask.runs.making import make_config
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train

QUICK = ("--model", "cnn", "--width", "2", "--epochs", "2", "--device", "cpu")
ALL_WORK = 10_000


@contextmanager
def refusing_from(number: int, code: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Have every operation that needs room fail, from the `number`th on; gives those that were tried."""
    tried: list[str] = []

    def refusing(name, real, needs_room=lambda *_: True):
        def operation(path, *rest, **more):
            if needs_room(path, *rest):
                tried.append(name)
                if len(tried) > number:
                    raise OSError(code, os.strerror(code), *(() if name == "fsync" else (str(path),)))
            return real(path, *rest, **more)

        return operation

    with patch.context() as here:
        for module in (io, builtins):
            here.setattr(module, "open", refusing("open", io.open, lambda _, mode="r", *__: "w" in mode))
        for name in ("fsync", "replace", "rename", "mkdir"):
            here.setattr(os, name, refusing(name, getattr(os, name)))
        yield tried


def outcome(folder: Path) -> tuple[object, ...]:
    timed = {"seconds", "images_per_second"}
    rows = [{name: value for name, value in row.items() if name not in timed} for row in read_history(folder)]
    weights = [
        {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / file).items()}
        for file in ("best.safetensors", "last.safetensors")
    ]
    return rows, (folder / "metrics.json").read_text(), weights


@pytest.fixture(scope="module")
def config(crosses) -> RunConfig:
    return make_config(data=str(crosses), model="cnn", width=2, epochs=2, device="cpu")


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory) -> Path:
    [result] = train(config, out=tmp_path_factory.mktemp("straight") / "run")
    return result.folder


def partials(place: Path) -> list[Path]:
    return list(place.rglob("*.partial"))


@pytest.mark.process
def test_a_disk_that_is_full_before_any_single_operation_loses_nothing(
    config, straight, tmp_path, monkeypatch
):
    with refusing_from(ALL_WORK, errno.ENOSPC, monkeypatch) as needed:
        train(config, out=tmp_path / "counted")
    assert len(needed) > 20
    for number in range(len(needed)):
        out = tmp_path / str(number)
        with (
            refusing_from(number, errno.ENOSPC, monkeypatch),
            pytest.raises(DataError, match=re.escape(str(out))) as caught,
        ):
            train(config, out=out)
        assert "No space left on device" in str(caught.value)
        assert "free the disk" in str(caught.value)
        assert partials(tmp_path) == []
        [result] = train(config, out=out, resume=True)
        assert outcome(result.folder)[1:] == outcome(straight)[1:], needed[number]


@pytest.mark.parametrize("name", ["EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ENOENT", "ESTALE"])
def test_whatever_is_refused_late_is_a_sentence_and_the_state_resumes(
    config, straight, tmp_path, monkeypatch, name
):
    code, out = getattr(errno, name), tmp_path / "run"

    class Refusing(Silent):
        def epoch(self, seed, row):
            disk.enter_context(refusing_from(0, code, monkeypatch))

    with ExitStack() as disk, pytest.raises(DataError, match=re.escape(str(out))) as caught:
        train(config, out=out, progress=Refusing())
    assert os.strerror(code) in str(caught.value)
    assert partials(tmp_path) == []
    [result] = train(config, out=out, resume=True)
    assert outcome(result.folder) == outcome(straight)


def test_a_folder_that_vanishes_is_a_sentence(config, tmp_path):
    class Vanishing(Silent):
        def epoch(self, seed, row):
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(DataError, match="its folder is gone; bring it back or choose another place"):
        train(config, out=tmp_path / "run", progress=Vanishing())


def test_names_that_cannot_be_and_files_in_the_way_are_sentences(crosses, tmp_path):
    (tmp_path / "file").write_text("mine")
    long = "a" * 300
    for command, said in (
        (
            ("train", *QUICK, "--data", crosses, "--out", "file"),
            "file/seed-0 cannot be made (Not a directory)",
        ),
        (("train", *QUICK, "--data", crosses, "--out", long), "(File name too long); choose a shorter name"),
        (("sweep", "table1", "--out", "file"), "file cannot be made (File exists); move what is in the way"),
        (("sweep", "table1", "--out", "file/in"), "file/in cannot be made (Not a directory)"),
        (("sweep", "table1", "--out", long), "(File name too long); choose a shorter name"),
        (("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--out", long), "(File name too long)"),
        (("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--out", "file/x"), "(Not a directory)"),
        (("evaluate", long), "(File name too long)"),
        (("table", long), "(File name too long)"),
        (("report", long, "--out", "r"), "(File name too long)"),
        (("saliency", long, "file"), "(File name too long)"),
    ):
        told_so = told(*command, cwd=tmp_path, code=3).stderr.replace("\n", "")
        assert said in told_so, told_so
        assert told_so.count("error:") == 1
    assert (tmp_path / "file").read_text() == "mine"
    assert partials(tmp_path) == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As `ulimit -f`: Python hears of it as EFBIG, since it ignores the signal SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("inline_sweeps")
def test_a_limit_of_file_sizes_stops_train_and_cells_in_a_sentence(crosses, straight, tmp_path):
    command = ("train", *QUICK, "--data", crosses, "--out", "run")
    (tmp_path / "own.toml").write_text(
        f"seeds = 1\n[base]\nmodel = 'cnn'\nwidth = 2\nepochs = 2\ndata = '{crosses}'\n"
        "[axes.method]\n'Classify' = {}\n"
    )
    sweep = ("sweep", "own.toml", "--out", "runs", "--device", "cpu")
    with files_of_at_most(20_000):
        said = told(*command, cwd=tmp_path, code=3).stderr
        failed = told(*sweep, cwd=tmp_path, code=4).stderr
    for text in (said, failed):
        assert "state.safetensors cannot be written (File too large); raise the limit" in text
        assert "Traceback" not in text
    assert partials(tmp_path) == []
    told(*command, "--resume", cwd=tmp_path)
    told(*sweep, cwd=tmp_path)
    assert outcome(tmp_path / "run/seed-0") == outcome(straight)
    assert outcome(tmp_path / "runs/classify/seed-0") == outcome(straight)


def test_what_is_refused_leaves_the_file_of_before_and_no_part_of_another(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"before")
    for number in range(3):
        with refusing_from(number, errno.EIO, monkeypatch), pytest.raises(DataError, match="check the disk"):
            write_whole(path, b"after")
        assert path.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [path]


def test_a_stop_in_the_middle_of_writing_leaves_no_part(tmp_path, monkeypatch):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_the_program_may_have_got_wrong_keeps_its_traceback(tmp_path):
    lost = FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "a"))
    assert sure_refusal(lost) is None
    with pytest.raises(FileNotFoundError), refusals_under(tmp_path / "b"):
        raise lost
    with pytest.raises(DataError, match="a cannot be used"), refusals_under(tmp_path):
        raise lost
    assert sure_refusal(OSError("of no number")) is None


def test_a_refusal_without_a_path_is_a_sentence_too():
    told_of = sure_refusal(OSError(errno.ENOSPC, "No space left on device"))
    assert str(told_of) == (
        "the system refuses to go on (No space left on device); free the disk or choose another place"
    )
    assert sure_refusal(PermissionError(errno.EPERM, "Operation not permitted")) is None
    assert "cannot be made (unheard of); choose another place" in str(
        refused(OSError(-1, "unheard of"), Path("x"), "made")
    )


def test_a_cell_whose_folder_cannot_be_looked_into_is_unfinished_and_says_why(config, tmp_path):
    cell = Cell(labels={"method": "a" * 300}, config=config)
    [job] = make_jobs([cell], (0,), tmp_path)
    assert not is_finished(job)
    assert "choose a shorter name" in run_job(job)
