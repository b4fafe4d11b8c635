"""Ctrl-C while processes are started."""

import os
import signal
import subprocess
import sys

import pytest

from activmask.ground.interrupts import children_deaf_to_interrupts

LIVES_ON = "import sys; print('up', flush=True); sys.stdin.read(); print('still here')"


@pytest.fixture(autouse=True)
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def child():
    return subprocess.Popen(
        [sys.executable, "-c", LIVES_ON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def after_ctrl_c(process):
    process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    return process.communicate()[0].strip()


@pytest.mark.process
def test_only_a_child_started_meanwhile_is_deaf():
    with children_deaf_to_interrupts(), child() as deaf:
        unheard = after_ctrl_c(deaf)
    with child() as hearing:
        heard = after_ctrl_c(hearing)
    assert (unheard, heard) == ("still here", "")


def interrupted_in(block, reached):
    with block:
        signal.raise_signal(signal.SIGINT)
        reached.append(True)


def test_an_interrupt_that_arrives_meanwhile_is_not_lost():
    reached = []
    with pytest.raises(KeyboardInterrupt):
        interrupted_in(children_deaf_to_interrupts(), reached)
    assert reached
