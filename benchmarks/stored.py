"""Results as files: JSON with every number, and beside it the Markdown that is made of it."""

import json
from pathlib import Path
from typing import cast

from benchmarks.markdown import render
from benchmarks.result import Result

LINE = 110
"""Characters of a line of the JSON; what fits stays on one, such as a row of a table."""


def write_result(result: Result, stem: Path) -> None:
    """Write `stem`.json and `stem`.md."""
    beside(stem, ".json").write_text(_pretty(result, "") + "\n", encoding="utf-8")
    write_markdown(result, stem)


def write_markdown(result: Result, stem: Path) -> None:
    """Write `stem`.md alone."""
    beside(stem, ".md").write_text(render(result, stem.name), encoding="utf-8")


def read_result(stem: Path) -> Result:
    """The content of `stem`.json."""
    return cast(Result, json.loads(beside(stem, ".json").read_text(encoding="utf-8")))


def beside(stem: Path, ending: str) -> Path:
    """One of the files of a result, whose name may hold dots."""
    return stem.with_name(stem.name + ending)


def _pretty(value: object, indent: str) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= LINE or not isinstance(value, (dict, list)):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        pieces = [f"{json.dumps(name)}: {_pretty(one, deeper)}" for name, one in value.items()]
        first, last = "{}"
    else:
        pieces = [_pretty(one, deeper) for one in value]
        first, last = "[]"
    return f"{first}\n{deeper}" + f",\n{deeper}".join(pieces) + f"\n{indent}{last}"
