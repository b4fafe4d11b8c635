"""The walk of `benchmarks/walk`: its lines are commands that there are, and what goes wrong is found."""

import pytest
from markdown_pages import refused_commands

from benchmarks.walk.chapters import CHAPTERS
from benchmarks.walk.files import write_files
from benchmarks.walk.steps import Step, walked

MISTAKEN, SHELL = "mistakes", "the terminal"
"""Chapters whose lines are refused on purpose, or more than commands."""


@pytest.mark.parametrize("chapter", [name for name in CHAPTERS if name not in {MISTAKEN, SHELL}])
def test_every_line_is_a_command_with_its_flags(chapter):
    typed = [step.typed for step in CHAPTERS[chapter] if step.typed.startswith("activmask")]
    assert typed
    assert refused_commands("\n\n".join(f"    {line}" for line in typed)) == []


def test_every_mistake_is_expected_to_be_refused():
    assert all(step.code in {2, 3} for step in CHAPTERS[MISTAKEN])


@pytest.fixture
def home(tmp_path):
    """A folder, and one of programs in which `activmask` prints its arguments."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "activmask").write_text('#!/bin/bash\necho "did $@"\n')
    (programs / "activmask").chmod(0o755)
    (tmp_path / "home").mkdir()
    return tmp_path / "home", programs


@pytest.mark.process
@pytest.mark.parametrize(
    ("step", "faults"),
    [
        (Step("exit 3", code=3), []),
        (Step("exit 3"), ["ended with 3, not 0"]),
        (Step("echo one; echo two", says=("one two",)), []),
        (Step("echo one", says=("two",)), ["does not say 'two'"]),
        (Step("touch a.png", leaves=("*.png",)), []),
        (Step("true", leaves=("*.png",)), ["leaves no *.png"]),
        (Step("echo 'Traceback (most recent call last):' >&2; exit 3", code=3), ["a traceback"]),
        (Step(f"echo {'x' * 81}", narrow=True), ["a line of 81 characters"]),
        (Step(f"echo {'x' * 80}", narrow=True), []),
    ],
)
def test_what_should_not_be_is_found(home, step, faults):
    (stepped,) = walked("chapter", [step], *home)
    assert list(stepped.faults) == faults


@pytest.mark.process
def test_next_steps_are_done_as_they_are_printed_but_for_one_epoch(home):
    printed = "echo 'next: activmask train --data data/x --epochs 20'; echo 'next: activmask table runs'"
    shown = [stepped.said for stepped in walked("chapter", [Step(printed)], *home)]
    assert shown[1:] == ["did train --data data/x --epochs 20 --epochs 1\n", "did table runs\n"]


def test_the_files_are_there_in_every_format(tmp_path):
    write_files(tmp_path / "home")
    kinds = {path.suffix for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert kinds >= {".dcm", ".gz", ".webp", ".bmp", ".jpg", ".tif", ".png", ".csv", ".py", ".toml"}
