"""Garbage collection: none while modules are imported, none at the end, and as ever in between."""

import gc
import subprocess
import sys

import pytest
from activmask_cli.collection import uncollected

ENDING = """
import atexit, gc, sys
from activmask_cli.app import main
# What is registered later is called sooner.
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 10_000))
sys.argv = ["activmask", "--version"]
{call}
"""


@pytest.mark.parametrize("enabled", [True, False])
def test_what_was_set_before_is_set_again_after_a_failure_too(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        inside = []
        with pytest.raises(ImportError), uncollected():
            raise ImportError(inside.append(gc.isenabled()))
        assert inside == [False]
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_what_was_made_inside_is_not_looked_at_again():
    before = gc.get_freeze_count()
    try:
        with uncollected():
            made = [[] for _ in range(1000)]
        assert gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()


def frozen_at_the_end(call: str) -> bool:
    command = [sys.executable, "-c", ENDING.format(call=call)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1] == "frozen True"


@pytest.mark.process
def test_the_end_searches_for_no_garbage():
    assert frozen_at_the_end("main()")


@pytest.mark.process
def test_the_test_of_the_end_can_fail():
    assert not frozen_at_the_end("")
