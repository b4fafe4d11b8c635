"""The same work on several things at once: in their order, whole, and each failure in its place."""

import threading
from itertools import islice

import pytest

from activmask.machine import beside
from activmask.machine.beside import MOST_AT_ONCE, worked_on


@pytest.fixture(params=[1, 2, 8])
def cores(request, monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: request.param)
    return request.param


def test_each_comes_in_its_order_once_its_work_is_done(cores):
    done = set()
    with worked_on(done.add, range(20)) as items:
        for expected, item in enumerate(items):
            assert item == expected
            assert item in done
    assert done == set(range(20))


def test_no_more_are_worked_on_at_once_than_there_may_be(monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 8)
    begun, go_on = threading.Semaphore(0), threading.Event()

    def work(_):
        begun.release()
        go_on.wait(timeout=60)

    with worked_on(work, range(20)) as items:
        assert all(begun.acquire(timeout=60) for _ in range(MOST_AT_ONCE))
        # One more would begin as soon as its thread ran.
        assert not begun.acquire(timeout=0.2)
        go_on.set()
        assert list(items) == list(range(20))


def test_several_are_worked_on_at_once_where_there_are_cores(monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 2)
    both = threading.Barrier(2, timeout=60)
    with worked_on(lambda _: both.wait(), range(2)) as items:
        assert list(items) == [0, 1]


def test_a_single_one_is_worked_on_here(monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 8)
    seen = []
    with worked_on(lambda _: seen.append(threading.current_thread()), ["one"]) as items:
        assert list(items) == ["one"]
    assert seen == [threading.current_thread()]


def test_a_failure_comes_in_its_place_and_what_was_begun_is_whole(cores):
    begun, over, came = set(), set(), []

    def work(item):
        begun.add(item)
        if item in {2, 3}:
            raise OSError(f"no place for {item}")
        over.add(item)

    def take_all():
        with worked_on(work, range(30)) as items:
            for item in items:
                came.append(item)  # noqa: PERF402 - what came before the failure counts

    with pytest.raises(OSError, match="no place for 2"):
        take_all()
    assert came == [0, 1]
    assert begun - over <= {2, 3}


def test_whoever_leaves_early_waits_for_what_was_begun(monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 2)
    begun, over, leaving = set(), set(), threading.Event()

    def work(item):
        begun.add(item)
        if item:
            leaving.wait(timeout=60)
        over.add(item)

    def leave():
        with worked_on(work, range(30)) as items:
            assert list(islice(items, 1)) == [0]
            leaving.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert begun == over
