"""Every flag that a message names is one of the command that prints it, or of one that it names."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import activmask_cli
import pytest
import typer
from activmask_cli.app import app
from in_process import told

import activmask
from activmask.ground.errors import UsageError
from activmask.runs.folder import STATE_FILE

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])")
ROOT = typer.main.get_command(app)
COMMANDS = ROOT.commands
OPTIONS = {name: {text for one in command.params for text in one.opts} for name, command in COMMANDS.items()}
OF_ALL = {"--help", *(text for one in ROOT.params for text in one.opts)}
FOLDER = Path(activmask_cli.__file__).parent


def texts(path: Path) -> Iterator[str]:
    """The strings of a module that are no docstrings, and those that f-strings are made of."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            aside |= {id(part) for part in node.values}
            yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside:
            yield node.value


def wrong_flags(path: Path) -> list[str]:
    own = path.stem.replace("_", "-")
    wrong = []
    for text in texts(path):
        named = [name for name in OPTIONS if re.search(rf"\b{name}\b", text)]
        # The demo's strings are the commands that it runs.
        of = [own, *named] if own in OPTIONS and own != "demo" else OPTIONS
        known = OF_ALL.union(*(OPTIONS[name] for name in of))
        wrong += [flag for flag in FLAG.findall(text) if flag not in known]
    return wrong


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_messages_of_commands_name_flags_that_they_have(path):
    assert wrong_flags(path) == []


def test_a_flag_that_is_not_there_is_found(tmp_path):
    path = tmp_path / "table.py"
    path.write_text('def f(x):\n    """--docs."""\n    return f"give --nonsense {x}, or --out"\n')
    assert wrong_flags(path) == ["--nonsense"]
    path.write_text('a = "give --resume"\nb = "train --resume goes on"\n')
    assert wrong_flags(path) == ["--resume"]


def test_the_library_names_no_flags():
    """Its messages name settings, since a notebook has no flags; custom properties of CSS begin alike."""
    files = sorted(Path(activmask.__file__).parent.rglob("*.py"))
    found = {
        (path.name, flag)
        for path in files
        for text in texts(path)
        for flag in FLAG.findall(text)
        if not flag.startswith("--chart-")
    }
    assert found == set()


def ways_and_flags(path: Path) -> tuple[set[str], set[str]]:
    """The ways that a command says it has out of a failure, and the options that it declares."""
    calls = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    named: dict[str, set[str]] = {"failures_as_sentences": set(), "typer.Option": set()}
    for call in calls:
        texts = {one.value for one in call.args if isinstance(one, ast.Constant)}
        named.setdefault(ast.unparse(call.func), set()).update(texts)
    return named["failures_as_sentences"], named["typer.Option"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_commands_say_which_ways_out_of_a_failure_they_have(path):
    ways, flags = ways_and_flags(path)
    own = OPTIONS.get(path.stem.replace("_", "-"), set())
    assert {f"--{way.replace('_', '-')}" for way in ways} <= flags | own
    assert ways >= {flag.removeprefix("--") for flag in flags & {"--overwrite", "--resume"}}


def test_what_exists_is_told_with_the_flags_that_replace_it(tmp_path):
    folder = tmp_path / "runs/mine/seed-0"
    folder.mkdir(parents=True)
    (folder / STATE_FILE).touch()
    command = ("train", "--data", "synthetic", "--model", "cnn", "--epochs", 1, "--name", "mine")
    said = " ".join(told(*command, cwd=tmp_path, code=2).stderr.split())
    assert said.endswith(
        "holds a run that was not finished; give --resume to go on with it or --overwrite to replace it"
    )


def test_a_way_that_a_command_has_not_is_not_named(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text("<p>mine</p>")
    command = ("audit", "--data", "data", "--model", "net.py:make", "--report", "page")
    said = " ".join(told(*command, cwd=tmp_path, code=2).stderr.split())
    assert said.endswith("does not say that it is a page of an audit of ours; give another --report")


def test_the_library_speaks_of_arguments():
    """A notebook has no flags, and another process raises what it was sent."""
    error = UsageError("it exists", advice="ask for overwrite", ways=("out", "overwrite"))
    assert str(error) == "it exists; ask for overwrite"
    assert pickle.loads(pickle.dumps(error)).ways == error.retold(UsageError, path="x").ways == error.ways
