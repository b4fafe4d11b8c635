"""Nothing is printed past the consoles to which text is text."""

import ast
import logging
import sys
import warnings
from pathlib import Path

import pytest
from activmask_cli import console
from activmask_cli.late import plain_help
from hostile import HOSTILE, SEEN, joined, seen
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from activmask.ground.shown import shown

ROOT = Path(__file__).parents[1]
OWNERS = {"console.py", "streams.py"}
"""The files of the command line that hold the streams."""
PRINTS = {"print", "input"}
TYPERS = {"echo", "echo_via_pager", "secho", "style", "confirm", "prompt"}
PAST_THE_CONSOLE = {"stdout", "stderr", "__stdout__", "__stderr__"}
READS_MARKUP = {"Console", "Text", "Prompt", "Confirm", "from_markup", "status", "rule", "log"}


def offences(source: str) -> list[str]:
    """What in a file prints otherwise than by the consoles' `print`, or makes text of its own."""
    nodes = list(ast.walk(ast.parse(source)))
    calls = [node for node in nodes if isinstance(node, ast.Call) and _is_another_way(node)]
    streams = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr in PAST_THE_CONSOLE]
    markup = [node.value for node in nodes if isinstance(node, ast.keyword) and _asks_for_markup(node)]
    return [ast.unparse(node) for node in (*calls, *streams, *markup)]


def _is_another_way(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if name == "err.status":
        return not ast.unparse(call.args[0]).startswith("err.render_str(")
    if last == "TextColumn":
        return not any(word.arg == "markup" for word in call.keywords)
    if last == "Progress":
        return not call.args
    return name in PRINTS or last in READS_MARKUP or (name.startswith("typer.") and last in TYPERS)


def _asks_for_markup(word: ast.keyword) -> bool:
    plain = isinstance(word.value, ast.Constant) and word.value.value is False
    return word.arg in {"markup", "emoji"} and not plain


@pytest.mark.parametrize("file", sorted((ROOT / "cli").glob("*.py")), ids=lambda file: file.name)
def test_a_command_prints_by_the_consoles_alone(file):
    if file.name not in OWNERS:
        assert offences(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", sorted((ROOT / "activmask").rglob("*.py")), ids=str)
def test_the_library_prints_nothing(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not PRINTS.intersection(calls)
    assert not any(call.startswith(("sys.stdout", "sys.stderr")) for call in calls)


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "typer.echo('x')",
        "sys.stderr.write('x')",
        "Console().print('x')",
        "err.print(Text('x'))",
        "Text.from_markup('x')",
        "err.status('x')",
        "err.status(f'{x}')",
        "TextColumn('{task.description}')",
        "Progress(console=err)",
        "out.print('x', markup=True)",
        "out.print('x', emoji=wanted)",
    ],
)
def test_every_other_way_is_found(source):
    assert offences(source)


@pytest.mark.parametrize("source", ["out.print('x')", "err.status(err.render_str(x), spinner='line')"])
def test_the_one_way_is_not(source):
    assert not offences(source)


def test_the_usual_console_would_read_markup(capsys):
    """What the rules above keep out does happen."""
    Console(file=sys.stdout, force_terminal=False).print("[b]:skull:[/b]")
    assert "[b]" not in capsys.readouterr().out
    console.out.print("[b]:skull:[/b]")
    assert capsys.readouterr().out == "[b]:skull:[/b]\n"


def test_bars_show_names_as_they_are():
    with Progress(TextColumn("{task.description}", markup=False)) as bar:
        bar.add_task("[/b]")


@pytest.fixture
def own_warnings(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    formatter = logging.lastResort.formatter
    console.tell_warnings()
    yield
    logging.lastResort.setFormatter(formatter)


@pytest.mark.filterwarnings("default")
def test_warnings_and_messages_of_libraries_are_lines(own_warnings, capsys):
    warnings.warn(HOSTILE, UserWarning, stacklevel=1)
    line = seen(capsys.readouterr().err)
    assert joined(line) == joined(f"warning: {SEEN} (UserWarning)")
    record = logging.LogRecord("pydicom", logging.WARNING, "", 1, "in %s", (HOSTILE,), None)
    assert joined(seen(logging.lastResort.format(record))) == joined(f"in {SEEN}")


@pytest.mark.parametrize("text", ["[b]x[/b]", "[/b]", "[0, 1]", "a\\", "\\[b]", HOSTILE, f"{HOSTILE}\\"])
def test_help_is_shown_as_it_is(text):
    assert Text.from_markup(plain_help(text), emoji=False).plain == shown(text)


def test_every_object_is_text(capsys):
    console.out.print(Path(f"[b]{HOSTILE}"), 3, style="bold")
    assert joined(seen(capsys.readouterr().out)) == joined(f"[b]{SEEN}3")
