"""The documents are true: what they name is there, and what they show is accepted."""

import re
import shlex

import pytest
import yaml
from in_process import told
from markdown_pages import (
    PROGRAM,
    ROOT,
    arguments_of,
    blocks,
    broken_links,
    homeless_names,
    in_backticks,
    missing_files,
    reachable,
    refused_commands,
    shown_commands,
    unknown_flags,
)
from test_floors import FLOORS

from activmask.data.sources.presets import presets
from activmask.models import MODELS
from activmask.objectives import OBJECTIVES

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ARCHITECTURE = ROOT / "docs/architecture.md"
PAGES = [README, CONTRIBUTING, *sorted((ROOT / "docs").rglob("*.md"))]

FAULTY = """
# A heading

[gone](docs/gone.md), [elsewhere](#no-such-heading), ![gone](gone.png), [here](#a-heading)

    activmask train --actdif 10
    activmask train --seeds 0-2 --preset heart && activmask improve
    python -m benchmarks.nothing
    python -m benchmarks nothing
    python docs/nothing.py

`--no-such-flag W` is no flag of `activmask train --data`, `activmask/nothing.py` no file and `NOTHING` no
name in `tests/in_process.py`, which defines `told()` but not `tell()`.

| table | file |
| --- | --- |
| `FLOORS` | `tests/in_process.py` |
| `told()` | `tests/in_process.py` |
"""


def text_of(page):
    return page.read_text(encoding="utf-8")


def by_name(page):
    return str(page.relative_to(ROOT))


def test_every_check_can_fail():
    page = ROOT / "page.md"
    assert len(broken_links(page, FAULTY)) == 3
    refused = "\n".join(refused_commands(FAULTY))
    assert refused.count("\n") == 6
    for fault in (
        "actdif",
        "heart",
        "no command improve",
        "benchmarks.nothing",
        "no benchmark nothing",
        "docs/nothing.py",
        "--data",
    ):
        assert fault in refused
    assert unknown_flags(FAULTY) == ["--no-such-flag W"]
    assert missing_files(FAULTY) == ["activmask/nothing.py"]
    assert [fault.split()[0] for fault in homeless_names(FAULTY)] == ["NOTHING", "tell()", "FLOORS"]


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_commands_flags_and_files_are_there(page):
    text = text_of(page)
    faults = broken_links(page, text) + refused_commands(text) + unknown_flags(text) + missing_files(text)
    assert faults == []


def test_a_reader_of_the_readme_comes_to_every_page():
    assert set(PAGES) <= reachable(README)


def test_the_readme_is_short():
    assert len(text_of(README).split()) <= 900


@pytest.mark.parametrize("page", [README, *PAGES[2:]], ids=by_name)
def test_every_training_that_a_page_shows_is_a_valid_run(page, tmp_path):
    for command in shown_commands(text_of(page)):
        arguments = arguments_of(command)
        if arguments and arguments[0] == "train" and not {"--help", "--config", "--dry-run"} & {*arguments}:
            told(*arguments, "--dry-run", cwd=tmp_path)


def test_the_set_up_of_the_readme_is_that_of_contributors():
    [tested] = re.findall(r"<!-- test command -->\n\n    (.*)\n\n<!-- end -->", text_of(README))
    assert f"    {tested.rpartition(' && ')[0]}\n" in text_of(CONTRIBUTING)


def named_in(*pages):
    return {code for page in pages for block in blocks(text_of(page)) for code in in_backticks(block)}


def flags_in(*pages):
    return {re.split(r"[ =]", code)[0] for code in named_in(*pages) if code.startswith("--")}


def test_the_readme_has_every_command():
    shown = {
        arguments[0] for command in shown_commands(text_of(README)) if (arguments := arguments_of(command))
    }
    assert set(PROGRAM.commands) <= shown | named_in(README)


def test_the_pages_have_every_setting_of_methods_every_model_and_every_preset():
    page = ROOT / "docs/training.md"
    settings = {name for one in OBJECTIVES.values() for name in one.declared()}
    assert {f"--{name.replace('_', '-')}" for name in settings} <= flags_in(page)
    assert MODELS.keys() <= named_in(page)
    assert any(shlex.split(code)[-1].split("|") == list(presets()) for code in named_in(page) if "|" in code)


def test_the_pages_have_every_saliency_method():
    from activmask.saliency.methods import METHODS

    assert set(METHODS) <= named_in(ROOT / "docs/saliency.md")


def test_what_is_said_of_the_code_is_so():
    assert homeless_names(text_of(CONTRIBUTING)) + homeless_names(text_of(ARCHITECTURE)) == []


def test_the_checks_before_a_commit_are_those_of_the_whole_run_by_tools_that_pip_installed():
    hooks = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    entries = [hook["entry"] for hook in hooks[0]["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    run = [line for line in text_of(ROOT / ".ci/run").splitlines() if line.startswith(".venv/bin/")]
    assert run
    assert {_program(line) for line in run} <= {_program(entry) for entry in entries}


def _program(command):
    return tuple(word for word in command.split() if word[0] != "-" and word != ".")


def test_the_floors_are_those_that_are_enforced():
    section = text_of(ARCHITECTURE).partition("## Floors")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`activmask/.*?) \|", section, re.MULTILINE)
    floors = [tuple(re.findall(r"`activmask/(.+?)/?(?:\.py)?`", row)) for row in reversed(rows)]
    assert floors == [tuple(room.replace(".", "/") for room in floor) for floor in FLOORS]
