"""What a Markdown page links to, shows as commands and names in backticks, and which of it is wrong."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import typer
from activmask_cli.app import app
from markdown_it import MarkdownIt
from markdown_it.token import Token

from benchmarks.__main__ import BENCHMARKS

ROOT = Path(__file__).parents[1]
PROGRAM = typer.main.get_command(app)

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_OPERATORS = set("();<>|&")
_PATH = re.compile(r"(?:activmask|cli|tests|benchmarks|docs|examples|\.ci)/[\w./*-]*")
_AT_ROOT = re.compile(r"[\w.-]+\.(?:md|toml|yaml)|LICENSE")
_DEFINED = re.compile(r"([A-Z]\w+|[a-z_]\w*(?=\(\)))(?:\(\))?")
_USAGE_ERRORS = typer.BadParameter.__bases__


def blocks(text: str) -> Iterator[list[Token]]:
    """The inline parts of every paragraph, heading and row of a table."""
    row: list[Token] | None = None
    for token in _MARKDOWN.parse(text):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield row
            row = None
        elif token.type == "inline":
            parts = list(token.children or ())
            if row is None:
                yield parts
            else:
                row += parts


def in_backticks(block: list[Token]) -> list[str]:
    return [token.content for token in block if token.type == "code_inline"]


def targets(text: str) -> list[str]:
    """Where links and pictures point to."""
    parts = [token for block in blocks(text) for token in block]
    return [str(token.attrs[name]) for token in parts for name in ("href", "src") if name in token.attrs]


def anchors(text: str) -> set[str]:
    """The fragments by which headings are linked to, as GitHub makes them."""
    tokens = _MARKDOWN.parse(text)
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def linked_files(page: Path, text: str) -> list[tuple[Path, str]]:
    """(file, fragment) of every link that stays in the repository."""
    found = []
    for target in targets(text):
        path, _, fragment = target.partition("#")
        if "://" not in target:
            found.append(((page.parent / path).resolve() if path else page, fragment))
    return found


def broken_links(page: Path, text: str) -> list[str]:
    faults = []
    for file, fragment in linked_files(page, text):
        if file != page and not (file.exists() and file.is_relative_to(ROOT)):
            faults.append(f"no file {file}")
        elif fragment and fragment not in anchors(text if file == page else file.read_text(encoding="utf-8")):
            faults.append(f"no heading #{fragment} in {file}")
    return faults


def shown_commands(text: str) -> list[list[str]]:
    """Every simple command of the code blocks, and of the words in backticks that begin with a program."""
    lines = []
    for token in _MARKDOWN.parse(text):
        if token.type in {"code_block", "fence"} and token.info in {"", "bash"}:
            lines += token.content.replace("\\\n", " ").splitlines()
    lines += [code for block in blocks(text) for code in in_backticks(block)]
    return [
        command
        for line in lines
        if re.match(r"\S*(activmask|python3?|torchrun|pytest)\s", line)
        for command in _simple_commands(line)
    ]


def _simple_commands(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= _OPERATORS:
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def arguments_of(command: list[str]) -> list[str] | None:
    """What a command passes to activmask; None if it runs another program."""
    if "activmask_cli.app" in command:
        return command[command.index("activmask_cli.app") + 1 :]
    return command[1:] if Path(command[0]).name == "activmask" else None


def refused_commands(text: str) -> list[str]:
    """Why commands would not run: unknown options or values, modules that there are not."""
    faults = []
    for command in shown_commands(text):
        arguments = arguments_of(command)
        fault = _not_there(command) if arguments is None else _refusal(arguments)
        if fault:
            faults.append(f"{shlex.join(command)}: {fault}")
    return faults


def _not_there(command: list[str]) -> str | None:
    """What a call of Python names that the repository has not."""
    if not Path(command[0]).name.startswith("python"):
        return None
    for script in command[1:2]:
        if script.endswith(".py") and not (ROOT / script).is_file():
            return f"no file {script}"
    if "-m" not in command:
        return None
    module, *rest = command[command.index("-m") + 1 :]
    if module == "benchmarks" and not {*rest[:1]} <= BENCHMARKS.keys():
        return f"no benchmark {rest[0]}"
    try:
        return None if find_spec(module) else f"no module {module}"
    except ModuleNotFoundError as error:
        return str(error)


def _refusal(arguments: list[str]) -> str | None:
    name, *rest = arguments
    if name not in PROGRAM.commands:
        return f"no command {name}"
    known = _options_of(name)
    if "--help" in rest:
        return None if set(rest) <= known else "unknown options"
    try:
        PROGRAM.commands[name].make_context(name, rest)
    except _USAGE_ERRORS as error:
        return error.format_message()
    return None


def _options_of(name: str) -> set[str]:
    """Of a command, and of those below it where it is a group."""
    command = PROGRAM.commands[name]
    every = [command, *getattr(command, "commands", {}).values()]
    return {"--help"}.union(*(one.opts + one.secondary_opts for each in every for one in each.params))


def unknown_flags(text: str) -> list[str]:
    """Words in backticks that begin with an option of no command, nor of another program that is shown."""
    others = (command for command in shown_commands(text) if arguments_of(command) is None)
    known = set().union(*map(_options_of, PROGRAM.commands), *others)
    named = [code for block in blocks(text) for code in in_backticks(block) if code.startswith("--")]
    return [code for code in named if re.split(r"[ =]", code)[0] not in known]


def missing_files(text: str) -> list[str]:
    """Paths in backticks that the repository has not; `*` stands for any name."""
    codes = [code for block in blocks(text) for code in in_backticks(block)]
    paths = [code for code in codes if _PATH.fullmatch(code) or _AT_ROOT.fullmatch(code)]
    return [path for path in paths if not any(ROOT.glob(path.rstrip("/")))]


def homeless_names(text: str) -> list[str]:
    """Python names in backticks, `TABLE`, `Class` or `function()`, that no file named beside them defines."""
    faults = []
    for block in blocks(text):
        codes = in_backticks(block)
        paths = [code for code in codes if _PATH.fullmatch(code) and "*" not in code]
        files = [file for path in paths for file in _python_files(path)]
        defined = {name for file in files for name in defined_names(file)}
        for code in codes:
            match = _DEFINED.fullmatch(code)
            if match and not _AT_ROOT.fullmatch(code) and match[1] not in defined:
                faults.append(f"{code} is not defined in {[str(file.relative_to(ROOT)) for file in files]}")
    return faults


def _python_files(code: str) -> list[Path]:
    return [
        file
        for path in ROOT.glob(code.rstrip("/"))
        for file in (path.rglob("*.py") if path.is_dir() else [path])
    ]


def defined_names(file: Path) -> set[str]:
    """What a module defines at its top level."""
    if file.suffix != ".py":
        return set()
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def reachable(start: Path) -> set[Path]:
    """The pages that a reader of one page can come to by links."""
    found, waiting = set(), [start]
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md" and page.exists():
            found.add(page)
            waiting += [file for file, _ in linked_files(page, page.read_text(encoding="utf-8"))]
    return found
