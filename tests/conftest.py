"""Fixtures that several test files share."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from process_marker import clocked, only_where_marked, too_long

# Read when numpy is first imported: BLAS asks nobody before it takes all cores for a small product, and
# as many processes as there are cores do tests.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Imports that take seconds wait: of the processes that read this file, one runs no tests.

# A busy machine is no finding: neither an example that takes long, nor one that is slow to be drawn.
PATIENT = {
    "deadline": None,
    # Fixtures here last for all examples of a test, which write over what earlier ones left.
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
settings.register_profile("search", **PATIENT, max_examples=1000, print_blob=True)
# The same examples each time, so that whoever runs the tests meets no counterexample by chance.
settings.register_profile("activmask", **PATIENT, derandomize=True)
settings.load_profile("activmask")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with only_where_marked(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with clocked(item):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each process has tests that follow one another, and when done takes half of what another has left.

    Handed out in pieces, a file's tests come to several processes, each of which makes their fixtures.
    """
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Thousands of tests and all that they import are no garbage, to be looked through again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish():
    # Its import may start a process, which the first test must not seem to have done.
    import torch  # noqa: F401


def pytest_terminal_summary(terminalreporter):
    for line in too_long(terminalreporter.getreports("passed")):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _commands_built_once():
    """Typer's runner builds all commands anew for every call, which takes longer than most calls.

    Once for what is listed: a test may list a toy, which then has flags.
    """
    import typer.testing

    from activmask.data.sources import SOURCES
    from activmask.models import MODELS
    from activmask.objectives import OBJECTIVES
    from activmask.saliency.methods import METHODS

    # A typer that calls it otherwise is as slow as before, and as right.
    build, built = getattr(typer.testing, "_get_command", None), []

    def get_command(app):
        now = [dict(table) for table in (SOURCES, MODELS, OBJECTIVES, METHODS)]
        known = next((one for of, listed, one in built if of is app and listed == now), None)
        if known is None:
            built.append((app, now, known := build(app)))
        return known

    with pytest.MonkeyPatch.context() as patch:
        if build is not None:
            patch.setattr(typer.testing, "_get_command", get_command)
        yield


@pytest.fixture(autouse=True)
def _drawn_as_if_alone():
    """Or what a test draws from torch's own generator would follow from the tests before it."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def crosses(tmp_path_factory) -> Path:
    """A small synthetic data set on disk."""
    from activmask.data.sources.synthetic.drawing import SyntheticSpec
    from activmask.data.sources.synthetic.prepare import make_synthetic

    folder = tmp_path_factory.mktemp("data") / "crosses"
    make_synthetic(SyntheticSpec(n=48, valid=16, test=16, seed=3), folder)
    return folder


@pytest.fixture
def inline_sweeps(monkeypatch):
    """`activmask sweep` in this process trains in it too."""
    from inline_engine import InlineEngine

    from activmask.experiments import local_engine

    monkeypatch.setattr(local_engine, "LocalEngine", InlineEngine)
