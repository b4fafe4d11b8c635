"""Processes of this one's own: deaf to what ends it, yet easily ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from activmask.ground.children import Forked, Spawned, SpawnedChild, end_children
from activmask.ground.processes import in_order


def work_for_ever(place: Path, number: int) -> int:
    (place / str(number)).touch()
    signal.pause()
    return number


@pytest.mark.process
@pytest.mark.parametrize("context", [Spawned, Forked])
@pytest.mark.parametrize("end", ["terminate", "end_children"])
def test_a_child_that_is_deaf_to_sigterm_is_ended_all_the_same(context, end):
    child = context().Process(target=signal.pause)
    child.start()
    if end == "terminate":
        child.terminate()
    else:
        end_children()
    child.join(120)
    assert child.exitcode in {-signal.SIGKILL, 255}


@pytest.mark.process
@pytest.mark.parametrize("daemon", [False, True])
def test_daemons_are_left_to_the_order_of_those_who_started_them(monkeypatch, daemon):
    killed: list[bool] = []
    child = Spawned().Process(target=signal.pause, daemon=daemon)
    child.start()
    monkeypatch.setattr(SpawnedChild, "kill", lambda one: killed.append(one.daemon))
    end_children()
    child.terminate()
    child.join(120)
    assert killed == ([] if daemon else [False])


ENDING = """
import signal
from multiprocessing.util import Finalize
from activmask.ground.children import {context}

if __name__ == "__main__":
    child = {context}().Process(target=signal.pause, daemon={daemon})
    child.start()
    # A semaphore's name goes at this priority.
    Finalize(None, lambda: (print(child.exitcode), child.kill()), exitpriority=0)
"""


@pytest.mark.process
@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("context", ["Spawned", "Forked"])
def test_a_child_is_gone_before_what_it_shares_with_its_parent(tmp_path, context, daemon):
    program = tmp_path / "program.py"
    program.write_text(ENDING.format(context=context, daemon=daemon))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGKILL}\n", "")


@pytest.mark.process
def test_an_interrupt_does_not_wait_for_what_workers_are_at(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while not list(tmp_path.iterdir()):
            over.wait(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    over = threading.Event()
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(in_order(partial(work_for_ever, tmp_path), range(4), workers=2))
    finally:
        signal.signal(signal.SIGINT, before)
    watcher.join()
    assert time.monotonic() - begun < 360
