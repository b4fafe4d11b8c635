"""What killed processes leave is mended by the next run of the same command, and nothing else is touched."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_records import contents, records
from in_process import told

from activmask.data.dataset import read_dataset
from activmask.data.sources.msd.archive import unpacked
from activmask.data.sources.xray.cache import cache_beside, remove_outdated
from activmask.data.writer import claimed_dataset, write_dataset
from activmask.ground.claims import lock_beside
from activmask.ground.errors import DataError
from activmask.ground.files import remove_partial, write_json, write_whole
from activmask.ground.interrupts import Stopped, termination_raised
from activmask.report import write as report_writing
from activmask.report.contents import Contents
from activmask.report.page.html import Page
from activmask.report.write import write_report

TOKEN = "0123456789ab"
OPERATIONS = {"open", "fcntl.flock", *(f"os.{name}" for name in ("mkdir", "rename", "remove", "rmdir"))}
"""What Python announces before it asks the system for it."""
FILES = ("metadata", "card", "image", "mask", "index", "figures", "tables", "a.", "old.")
"""How the names inside data sets and reports begin."""
FEW = ("make-synthetic", "--n", 4, "--valid", 2, "--test", 2, "--out", "set")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed_before(number: int, call: Callable[[], object], below: Path) -> bool:
    """Whether a process that does something dies before one of its file operations, counted from 0."""
    child = os.fork()
    if child == 0:
        left = [number]

        def count(event, arguments):
            # A lock is a descriptor, and what lies in a folder that is removed is named by itself.
            if event in OPERATIONS and (
                event == "fcntl.flock" or str(arguments[0]).startswith((str(below), *FILES))
            ):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)

        try:
            sys.addaudithook(count)
            call()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def write_set(root: Path, images: int = 4, **more):
    return write_dataset(root, records(images), card={}, **more)


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_data_set_killed_anywhere_while_it_is_replaced_is_whole_after_the_same_command(tmp_path):
    old, new = (tmp_path / "whole" / name / "set" for name in ("old", "new"))
    write_set(old, 2)
    write_set(new)
    found, number, root = set(), 0, tmp_path / "work" / "set"
    shutil.copytree(old, root)
    while killed_before(number, lambda: write_set(root, overwrite=True), root.parent):
        moved = list(root.parent.glob(".set.*.old"))
        assert all(contents(kept) == contents(old) for kept in moved)
        if root.exists():
            found.add(len(read_dataset(root)))
        else:
            (kept,) = moved
            with pytest.raises(DataError, match=f"what lay there is whole in {kept}; the command that was"):
                read_dataset(root)
            found.add(0)
        write_set(root, overwrite=True)
        assert names(root.parent) == ["set"]
        assert contents(root) == contents(new)
        shutil.rmtree(root)
        shutil.copytree(old, root)
        number += 1
    assert found == {0, 2, 4}
    assert number > 25


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_data_set_killed_anywhere_while_it_is_made_is_made_by_the_same_command(tmp_path):
    root, number = tmp_path / "work" / "set", 0
    while killed_before(number, lambda: write_set(root), tmp_path):
        whole = root.exists()
        if whole:
            with pytest.raises(DataError, match="exists already"):
                write_set(root)
        else:
            write_set(root)
        assert names(root.parent) == ["set"]
        assert len(read_dataset(root)) == 4
        shutil.rmtree(root.parent)
        number += 1
    assert number > 15


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_report_killed_anywhere_while_it_is_replaced_is_whole_after_the_same_command(tmp_path, monkeypatch):
    page = Page(maker="activmask report", title="t", question="q", answer=("new",), parts=())
    made = Contents(page=page, files={"figures/a.svg": b"<svg/>", "tables/a.csv": b"a\n"})
    monkeypatch.setattr(report_writing, "gather", lambda *_, **__: made)
    monkeypatch.setattr(report_writing, "finished", lambda _: True)
    out, number = tmp_path / "report", 0
    write_report([], out)
    whole = contents(out)
    (out / "figures" / "old.svg").write_text("old")
    while killed_before(number, lambda: write_report([], out), tmp_path):
        write_report([], out)
        assert names(tmp_path) == ["report"]
        assert contents(out) == whole
        (out / "figures" / "old.svg").write_text("old")
        number += 1
    assert number > 10


def test_the_command_removes_its_own_leftovers_and_says_so(tmp_path):
    left = [tmp_path / f".set.{TOKEN}.{kind}" for kind in ("partial", "unpacked")]
    for folder in left:
        (folder / "images").mkdir(parents=True)
    lock_beside(tmp_path / "set").write_text("")
    told_ = told(*FEW, cwd=tmp_path).stderr
    assert names(tmp_path) == ["set"]
    for folder in left:
        assert f"note: removed {folder}, left by a killed process\n" in told_
    assert "note: removed" not in told(*FEW, "--overwrite", cwd=tmp_path).stderr


def test_what_was_moved_away_comes_back_before_anything_else(tmp_path):
    told(*FEW, cwd=tmp_path)
    whole = contents(tmp_path / "set")
    old = (tmp_path / "set").rename(tmp_path / f".set.{TOKEN}.old")
    for empty in (False, True):
        if empty:
            (tmp_path / "set").rename(old)
            (tmp_path / "set").mkdir()
        refused = told(*FEW, cwd=tmp_path, code=3).stderr
        assert (
            f"note: put the data set {tmp_path / 'set'} back, which a killed process had moved to " in refused
        )
        assert "exists already" in refused
        assert names(tmp_path) == ["set"]
        assert contents(tmp_path / "set") == whole


def test_training_on_a_data_set_that_was_moved_away_says_where_it_lies(tmp_path):
    told(*FEW, cwd=tmp_path)
    (tmp_path / "set").rename(tmp_path / f".set.{TOKEN}.old")
    message = told("train", "--data", "set", "--model", "cnn", cwd=tmp_path, code=3).stderr
    assert f"set does not exist; what lay there is whole in .set.{TOKEN}.old; the command" in message
    assert names(tmp_path) == [f".set.{TOKEN}.old"]


FOREIGN = (
    ".set.partial",
    ".set.backup.partial",
    f".set.{TOKEN}.partial.bak",
    f".set.{TOKEN.upper()}.partial",
    f".set.{TOKEN}0.old",
    f".set2.{TOKEN}.old",
    f"set.{TOKEN}.old",
    f".xset.{TOKEN}.unpacked",
    f".set.{TOKEN}.new",
    "set.old",
)


def test_what_looks_alike_is_nobodys_to_remove(tmp_path):
    for name in FOREIGN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").write_text("years of work")
    (tmp_path / f".set.{TOKEN}.partial").write_text("a file")
    (tmp_path / f".set.{TOKEN}.old").symlink_to(tmp_path / "set.old")
    before = contents(tmp_path)
    write_set(tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    assert contents(tmp_path) == before


def test_nothing_is_removed_beside_a_folder_that_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.doc").write_text("")
    write_set(tmp_path / f".set.{TOKEN}.old")
    with pytest.raises(DataError, match="is not a data set"):
        write_set(tmp_path / "set", overwrite=True)
    assert len(read_dataset(tmp_path / f".set.{TOKEN}.old")) == 4


def test_a_leftover_that_cannot_be_removed_is_told(tmp_path, monkeypatch, caplog):
    (tmp_path / f".set.{TOKEN}.partial").mkdir()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", refuse)
        with claimed_dataset(tmp_path / "set", overwrite=False):
            pass
    expected = f".set.{TOKEN}.partial, left by a killed process, cannot be removed (Permission denied)"
    assert expected in caplog.messages[0]


def test_what_lies_where_an_archive_is_unpacked_has_such_a_name(tmp_path):
    with pytest.raises(DataError), unpacked(tmp_path / "none.tar", tmp_path / "set"):
        pass
    (tmp_path / "a.tar").write_bytes(bytes(10240))
    with unpacked(tmp_path / "a.tar", tmp_path / "set") as folder:
        assert folder.parent == tmp_path
        assert folder.name[:5] + folder.name[17:] == ".set..unpacked"
        folder.rename(tmp_path / "kept")
        (tmp_path / "kept").rename(folder)
        write_set(tmp_path / "set")
        assert not folder.exists()


def test_images_kept_for_a_data_set_go_once_it_is_finished(tmp_path, caplog):
    root = tmp_path / "set"
    kept = [cache_beside(root, facts) for facts in ("128", "256")]
    foreign = [tmp_path / name for name in (".set.cache", f".set.{TOKEN}.cache", f".other.{TOKEN}cdef.cache")]
    for path in (*kept, *foreign):
        path.write_bytes(b"images")
    remove_outdated(root)
    assert all(path.exists() for path in kept)
    write_set(root)
    later = (root / "card.json").stat().st_mtime_ns + 1
    os.utime(kept[1], ns=(later, later))
    remove_outdated(root)
    assert names(tmp_path) == sorted(["set", kept[1].name, *(path.name for path in foreign)])
    assert caplog.messages == [f"removed {kept[0]}, finished images of a data set that is finished"]


def test_a_half_written_file_is_removed_by_its_exact_name(tmp_path, caplog):
    for name in (".run.json.partial", ".run.json.partial2", ".notes.txt.partial"):
        (tmp_path / name).write_text("half")
    write_whole(tmp_path / "run.json", b"{}")
    assert ".run.json.partial" not in names(tmp_path)
    (tmp_path / ".run.json.partial").write_text("half")
    remove_partial(tmp_path / "run.json")
    remove_partial(tmp_path / "run.json")
    assert caplog.messages == [f"removed {tmp_path / '.run.json.partial'}, left by a killed process"]
    assert names(tmp_path) == [".notes.txt.partial", ".run.json.partial2", "run.json"]


def test_what_is_written_goes_through_no_link_that_lies_in_its_way(tmp_path):
    (tmp_path / ".notes.json.partial").symlink_to("elsewhere")
    with pytest.raises(DataError, match=r"notes\.json cannot be written"):
        write_json(tmp_path / "notes.json", 1)
    (tmp_path / ".notes.json.partial").symlink_to("elsewhere")
    remove_partial(tmp_path / "notes.json")
    write_json(tmp_path / "notes.json", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.json"]


@pytest.mark.parametrize("name", ["rename", "rmdir", "unlink", "open", "flock"])
def test_a_request_to_end_that_comes_while_a_folder_is_replaced_leaves_nothing_hidden(
    tmp_path, monkeypatch, name
):
    write_dataset(tmp_path / "set", records(4), card={})
    module = fcntl if name == "flock" else os
    real, before = getattr(module, name), signal.getsignal(signal.SIGTERM)

    def struck(*arguments, **more):
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments, **more)

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        monkeypatch.setattr(module, name, struck)
        with termination_raised(), pytest.raises(Stopped):
            write_dataset(tmp_path / "set", records(4), card={}, overwrite=True)
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGTERM, before)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(read_dataset(tmp_path / "set")) == 4
