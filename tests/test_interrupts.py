"""Ctrl-C and its like: while processes are started, and as the reason why a program ends."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from held_processes import as_from_a_terminal

from activmask.ground.interrupts import (
    Stopped,
    children_deaf_to_interrupts,
    sigterm_kept,
    stop_behind,
    termination_raised,
)

LIVES_ON = "import sys; print('up', flush=True); sys.stdin.read(); print('still here')"


ENDING = pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@pytest.fixture(autouse=True)
def interruptible():
    with as_from_a_terminal():
        yield


def child():
    return subprocess.Popen(
        [sys.executable, "-c", LIVES_ON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def after(sent, process):
    process.stdout.readline()
    os.kill(process.pid, sent)
    return process.communicate()[0].strip()


@pytest.mark.process
@ENDING
def test_only_a_child_started_meanwhile_is_deaf(sent):
    with children_deaf_to_interrupts(), child() as deaf:
        unheard = after(sent, deaf)
    with child() as hearing:
        heard = after(sent, hearing)
    assert (unheard, heard) == ("still here", "")


def interrupted_in(block, sent, reached):
    with block:
        signal.raise_signal(sent)
        reached.append(True)


class Freed:
    def __init__(self, sent):
        self.sent = sent

    def __del__(self):
        signal.raise_signal(self.sent)


def free_and_wait(sent):
    Freed(sent)
    threading.Event().wait(60)


@pytest.mark.parametrize(("sent", "error"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt)])
def test_a_request_that_comes_while_an_object_is_freed_is_heeded_later(sent, error, capsys):
    with termination_raised(), pytest.raises(error):
        free_and_wait(sent)
    assert capsys.readouterr().err == ""


@ENDING
def test_an_interrupt_that_arrives_meanwhile_is_not_lost(sent):
    reached = []
    with termination_raised(), pytest.raises(KeyboardInterrupt):
        interrupted_in(children_deaf_to_interrupts(), sent, reached)
    assert reached


def heard_by(thread, reached):
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    before = signal.set_wakeup_fd(theirs)
    try:
        with children_deaf_to_interrupts():
            signal.pthread_kill(thread.ident, signal.SIGTERM)
            os.read(ours, 1)
            reached.append(True)
    finally:
        signal.set_wakeup_fd(before)
        os.close(ours)
        os.close(theirs)


def test_one_that_another_thread_hears_waits_too():
    over, reached = threading.Event(), []
    thread = threading.Thread(target=over.wait)
    thread.start()
    with termination_raised(), pytest.raises(Stopped):
        heard_by(thread, reached)
    over.set()
    thread.join()
    assert reached


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_other_requests_are_raised_for_as_long_as_a_program_says(sent):
    with termination_raised(), pytest.raises(Stopped, match=sent.name) as caught:
        signal.raise_signal(sent)
    assert caught.value.number == sent
    assert signal.getsignal(sent) is signal.SIG_DFL


def test_what_a_process_was_told_to_ignore_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with termination_raised():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def tidied_up_in_spite_of_another(tidied):
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        tidied.append(True)


def test_a_second_request_does_not_disturb_what_the_first_one_began():
    tidied = []
    with termination_raised(), pytest.raises(Stopped):
        tidied_up_in_spite_of_another(tidied)
    assert tidied


def test_a_second_request_is_heard_where_the_first_one_got_lost():
    with termination_raised():
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)


def test_an_error_that_a_request_became_is_known():
    stop = Stopped(signal.SIGTERM)
    wrapped = ImportError("initialisation failed")
    wrapped.__cause__ = stop
    outer = RuntimeError("no engine")
    outer.__context__ = wrapped
    assert stop_behind(outer) is stop
    assert stop_behind(KeyError("own")) is None
    assert stop_behind(None) is None


def test_a_library_does_not_change_what_sigterm_means():
    def own(*_):
        pass

    signal.signal(signal.SIGTERM, own)
    with sigterm_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is own
