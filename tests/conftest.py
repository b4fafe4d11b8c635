"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings
from process_marker import clocked, only_where_marked, too_long

# Imports that take seconds wait: of the processes that read this file, one runs no tests.

# A busy machine is no finding.
settings.register_profile("activmask", deadline=None)
settings.load_profile("activmask")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with only_where_marked(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with clocked(item):
        return (yield)


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
