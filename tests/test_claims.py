"""One process at a time writes to a place; a dead one holds nothing."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import chdir
from datetime import UTC, datetime
from threading import Thread

import pytest
from in_process import told

from activmask.ground import claims
from activmask.ground.claims import InUse, claimed, lock_beside, owner_of
from activmask.ground.errors import DataError

HOLDER = """
import os, sys
from pathlib import Path
from activmask.ground.claims import claimed
with claimed(Path(sys.argv[1]), "data set"):
    {held}
"""
HOLDS = "print('held', flush=True); sys.stdin.read()"
FORKS = """child = os.fork()
    if child:
        sys.stdin.read()
    print('held', flush=True)
    sys.stdin.read()
"""


def holding(place, held=HOLDS):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(held=held), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while process.stdout.readline().strip() != "held":
        assert process.poll() is None
    return process


def test_the_second_claim_is_refused_in_a_sentence_that_names_the_first(tmp_path):
    place = tmp_path / "set"
    with claimed(place, "data set"), pytest.raises(InUse) as refused, claimed(place, "data set"):
        pytest.fail("both hold it")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    pattern = (
        rf"the data set {place} is being written by process {os.getpid()} on {socket.gethostname()} since "
        rf"{today} \d\d:\d\d:\d\d UTC; wait for its end, or choose another place"
    )
    refused.match(f"^{pattern}$")


def test_a_command_says_so_and_ends_with_3(tmp_path):
    few = ("make-synthetic", "--n", 4, "--valid", 2, "--test", 2, "--out", "set")
    with claimed(tmp_path / "set", "data set"):
        result = told(*few, cwd=tmp_path, code=3)
    assert f"error: the data set set is being written by process {os.getpid()} on" in result.output
    told(*few, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_thread_is_refused_like_a_process(tmp_path):
    refused = []

    def second():
        try:
            with claimed(tmp_path / "set", "data set"):
                pass
        except InUse as error:
            refused.append(error)

    with claimed(tmp_path / "set", "data set"):
        thread = Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_it_leaves_nothing_and_can_be_claimed_again(tmp_path):
    place = tmp_path / "deep" / "er" / "set"
    for _ in range(2):
        with claimed(place, "data set") as claim:
            assert claim.certain
            assert [path.name for path in place.parent.iterdir()] == [".set.activmask-lock"]
        assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), claimed(place, "data set"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_removed_meanwhile_takes_no_other_claim_along(tmp_path):
    place = tmp_path / "runs" / "set"
    with claimed(place, "data set"):
        shutil.rmtree(tmp_path / "runs")
        with claimed(place, "data set"):
            other = lock_beside(place).stat().st_ino
            with pytest.raises(InUse), claimed(place, "data set"):
                pass
            assert lock_beside(place).stat().st_ino == other
    assert not list(tmp_path.iterdir())


def test_a_claim_ends_where_its_file_cannot_be_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched, claimed(tmp_path / "set", "data set"):
        patched.setattr(os, "unlink", refuse)
    assert lock_beside(tmp_path / "set").exists()
    with claimed(tmp_path / "set", "data set") as claim:
        assert claim.certain


def test_a_folder_that_is_no_longer_empty_stays(tmp_path):
    place = tmp_path / "deep" / "er" / "set"
    with claimed(place, "data set"):
        place.mkdir()
    assert place.is_dir()


@pytest.mark.parametrize("other", ["../here/set", "../link/set", "set/", "set/../set", "./set"])
def test_another_spelling_is_the_same_place(tmp_path, other):
    here = tmp_path / "here"
    (here / "set").mkdir(parents=True)
    (tmp_path / "link").symlink_to(here)
    with chdir(here), claimed(here / "set", "data set"):
        with pytest.raises(InUse), claimed(here / other, "data set"):
            pass
        with pytest.raises(InUse), claimed(type(here)(other), "data set"):
            pass
        with pytest.raises(InUse), chdir("set"), claimed(type(here)("."), "data set"):
            pass


@pytest.mark.parametrize("text", ["", "{", "[]", "\0" * 90, '{"host": 1}', '{"process": "x", "host": ""}'])
def test_what_a_dead_owner_left_is_taken_over(tmp_path, text):
    lock = lock_beside(tmp_path / "set")
    lock.write_text(text)
    assert owner_of(lock) is None
    with claimed(tmp_path / "set", "data set") as claim:
        assert claim.certain
        assert owner_of(lock).process == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": "x"}'])
def test_an_owner_that_has_not_signed_is_another_process(tmp_path, text):
    with claimed(tmp_path / "set", "data set"):
        lock_beside(tmp_path / "set").write_text(text)
        with (
            pytest.raises(InUse, match="is being written by another process; wait"),
            claimed(tmp_path / "set", "data set"),
        ):
            pass


def test_parts_are_told_while_they_are_held(tmp_path):
    lock = lock_beside(tmp_path / "sweep")
    assert owner_of(lock) is None
    with claimed(tmp_path, "sweep", lock=lock, parts=["a", "b c"]):
        assert owner_of(lock).parts == ("a", "b c")
    assert owner_of(lock) is None


@pytest.mark.process
def test_another_process_holds_it_until_it_is_killed(tmp_path):
    place = tmp_path / "set"
    with holding(place) as process:
        with pytest.raises(InUse, match=f"process {process.pid} on "), claimed(place, "data set"):
            pass
        process.kill()
        process.wait()
        assert lock_beside(place).exists()
        with claimed(place, "data set") as claim:
            assert claim.certain
    assert not list(tmp_path.iterdir())


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_does_not_hold_it_when_its_parent_is_killed(tmp_path):
    place = tmp_path / "set"
    with holding(place, FORKS) as process:
        process.kill()
        os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGKILL
        with claimed(place, "data set"):
            pass


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_that_leaves_the_block_ends_no_claim(tmp_path):
    code = """
    import os, sys
    from pathlib import Path
    from activmask.ground.claims import InUse, claimed
    place, parent = Path(sys.argv[1]), os.getpid()
    try:
        with claimed(place, "data set"):
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                try:
                    with claimed(place, "data set"):
                        print("lost")
                except InUse:
                    print("kept")
    finally:
        if os.getpid() != parent:
            os._exit(0)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path / "set"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "kept\n"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with claimed(tmp_path / "set", "data set") as claim:
        assert not claim.certain
        assert not list(tmp_path.iterdir())
    assert caplog.messages == [
        f"nothing keeps other processes from the data set {tmp_path / 'set'}: its file system has no locks "
        f"({os.strerror(code)})"
    ]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_where_nothing_can_be_written_the_work_itself_says_so(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with claimed(tmp_path / "set", "data set") as claim:
        assert not claim.certain


@pytest.mark.parametrize("name", ["open", "pwrite", "ftruncate"])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, name, full)
    expected = rf"{tmp_path}/set cannot be claimed \(No space left on device\); free the disk"
    with pytest.raises(DataError, match=expected), claimed(tmp_path / "set", "data set"):
        pass
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    lock_beside(tmp_path / "set").symlink_to(tmp_path / "precious")
    with pytest.raises(DataError, match="cannot be claimed"), claimed(tmp_path / "set", "data set"):
        pass
    assert (tmp_path / "precious").read_text() == "text"


@pytest.mark.parametrize("anew", [False, True])
def test_a_lock_that_its_last_owner_removed_meanwhile_counts_for_nothing(tmp_path, monkeypatch, anew):
    lock, flock, calls = lock_beside(tmp_path / "set"), fcntl.flock, []

    def late(descriptor, how):
        calls.append(how)
        if len(calls) == 1:
            lock.unlink()
            if anew:
                lock.write_text("")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with claimed(tmp_path / "set", "data set"):
        assert len(calls) == 2
        with pytest.raises(InUse), claimed(tmp_path / "set", "data set"):
            pass


def test_a_folder_that_vanishes_meanwhile_is_made_again(tmp_path, monkeypatch):
    opened, calls = claims.os.open, []

    def late(path, *more):
        calls.append(path)
        if len(calls) == 1:
            path.parent.rmdir()
        return opened(path, *more)

    monkeypatch.setattr(os, "open", late)
    with claimed(tmp_path / "runs" / "set", "data set") as claim:
        assert claim.certain
    assert not list(tmp_path.iterdir())


def test_where_every_file_vanishes_there_is_no_claim(tmp_path, monkeypatch):
    def vanish(*_):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(os, "open", vanish)
    with claimed(tmp_path / "set", "data set") as claim:
        assert not claim.certain


def test_another_users_lock_on_nfs_is_asked_and_not_taken_over(tmp_path, monkeypatch):
    opened, locked, lock = os.open, fcntl.flock, lock_beside(tmp_path / "set")

    def forbid(path, how, mode):
        if how & os.O_RDWR and lock.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, how, mode)

    def as_nfs(descriptor, how):
        if how & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        locked(descriptor, how)

    monkeypatch.setattr(os, "open", forbid)
    monkeypatch.setattr(fcntl, "flock", as_nfs)
    with (
        claimed(tmp_path / "set", "data set"),
        pytest.raises(InUse, match=f"is being written by process {os.getpid()} on "),
        claimed(tmp_path / "set", "data set"),
    ):
        pass
    lock.write_text("{}")
    with (
        pytest.raises(DataError, match=r"\.set\.activmask-lock is another user's .*; remove it if nobody"),
        claimed(tmp_path / "set", "data set"),
    ):
        pass
    assert lock.exists()


def test_another_users_dead_lock_is_replaced_and_a_living_one_asked(tmp_path, monkeypatch):
    opened, lock = os.open, lock_beside(tmp_path / "set")

    def forbid(path, how, mode):
        if how & os.O_RDWR and lock.exists() and not lock.stat().st_size % 2:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, how, mode)

    lock.write_text("{}")
    monkeypatch.setattr(os, "open", forbid)
    with claimed(tmp_path / "set", "data set") as claim:
        assert claim.certain
        lock.write_text("{}")
        with pytest.raises(InUse), claimed(tmp_path / "set", "data set"):
            pass
