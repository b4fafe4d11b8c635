"""One way to call every benchmark: find it, parse its arguments, measure, show and store the result.

A benchmark is a module with a docstring, `add_options(parser)` and `measure(given)`. It is imported
when it is asked for, so that the list of all comes at once.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn, Protocol, cast

from activmask.ground.errors import ActivmaskError, UsageError
from activmask.ground.nearest import nearest
from benchmarks.machine import commit_of, measured_here
from benchmarks.markdown import render
from benchmarks.result import Part, Result
from benchmarks.stored import beside, read_result, write_markdown, write_result

RESULTS = Path(__file__).parent / "results"
PROGRAM = "python -m benchmarks"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a benchmark knows so far."""

    title: str
    parts: Sequence[Part]
    device: str = "cpu"
    """`cpu` or `cuda`."""
    behind: Any = None
    """All that the numbers were made of, for programs."""
    failed: bool = False
    """Whether a part of the measurement ended in an error, which has been printed."""


class Benchmark(Protocol):
    """What a benchmark's module offers."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare its arguments."""

    def measure(self, given: argparse.Namespace) -> Iterator[Findings]:
        """Measure; gives all that is known whenever there is more of it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help says what there is")


def run(names: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Do what the command line asks; returns the exit code.

    Args:
        names: one line of help by benchmark; the module has the name with underscores.
        arguments: of the command line.
    """
    try:
        return _run(names, arguments)
    except ActivmaskError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 3


def _run(names: Mapping[str, str], arguments: Sequence[str]) -> int:
    name, *rest = arguments or [""]
    if name in {"-h", "--help"}:
        print(contents(names))
        return 0
    if name == "render":
        if rest:
            raise UsageError("render takes no arguments; it writes all of benchmarks/results")
        for stem in stored_results():
            write_markdown(read_result(stem), stem)
        return 0
    if name not in names:
        asked = f"there is no benchmark '{name}'" if name else "no benchmark is named"
        raise UsageError(f"{asked}; {nearest(name, [*names, 'render'])}")
    module = import_module(f"benchmarks.{name.replace('-', '_')}")
    given = parser_of(name, module.__doc__ or "", cast(Benchmark, module)).parse_args(rest)
    if given.out is not None:
        _check(given.out)
    # Where the result went is no part of what was measured, and may tell whose machine it was.
    _, own = _where_to().parse_known_args(rest)
    return _measure(cast(Benchmark, module), given, shlex.join([*PROGRAM.split(), name, *own]))


def contents(names: Mapping[str, str]) -> str:
    """All benchmarks, one a line."""
    known = {**names, "render": "write every benchmarks/results/NAME.md anew from its NAME.json"}
    lines = [f"  {name:16} {about}" for name, about in known.items()]
    return "\n".join([f"usage: {PROGRAM} NAME ... [--out STEM]", "", *lines, "", f"{PROGRAM} NAME --help"])


def parser_of(name: str, about: str, benchmark: Benchmark) -> argparse.ArgumentParser:
    """The parser of a benchmark's arguments, with what all of them take."""
    parser = _Parser(
        prog=f"{PROGRAM} {name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_where_to()],
        allow_abbrev=False,
    )
    benchmark.add_options(parser)
    return parser


def _where_to() -> argparse.ArgumentParser:
    """What every benchmark takes."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--out", type=Path, metavar="STEM", help="write STEM.md and STEM.json, as benchmarks/results/speed"
    )
    return parser


def stored_results() -> list[Path]:
    """The results that are kept, each without its endings."""
    return [path.with_suffix("") for path in sorted(RESULTS.glob("*.json"))]


def _check(stem: Path) -> None:
    if not stem.parent.is_dir():
        raise UsageError(f"the folder {stem.parent} for the result does not exist; make it first")
    if _holds_notes(stem):
        raise UsageError(f"{stem}.md holds notes that somebody wrote; name another result and move them over")


def _holds_notes(stem: Path) -> bool:
    if beside(stem, ".json").exists():
        return any("text" in part for part in read_result(stem)["parts"])
    return beside(stem, ".md").exists()


def _measure(benchmark: Benchmark, given: argparse.Namespace, command: str) -> int:
    """Measure, write the result whenever there is more of it, and print it at the end."""
    start, commit = perf_counter(), commit_of(RESULTS)
    code = 0
    text = ""
    for findings in benchmark.measure(given):
        result = _result(findings, commit, command, perf_counter() - start)
        if given.out is not None:
            write_result(result, given.out)
        text = render(result, given.out.name if given.out else "")
        code = 1 if findings.failed else 0
    print(text, end="")
    return code


def _result(findings: Findings, commit: str, command: str, seconds: float) -> Result:
    result = Result(
        title=findings.title,
        measured={**measured_here(commit, findings.device), "seconds": round(seconds, 1)},
        parts=[{"commands": [command]}, *findings.parts],
    )
    if findings.behind is not None:
        result["behind"] = findings.behind
    return result
