"""Every flag that a message names is one of the command that prints it, or of one that it names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import activmask_cli
import pytest
import typer
from activmask_cli.app import app

import activmask

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
