"""What a command concludes as one JSON object on stdout, with all that it prints for people on stderr."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Any

import typer

from .console import err, write

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object; all that is for people goes to stderr.",
        rich_help_panel="Output",
    ),
]


@contextmanager
def talk_aside(as_json: bool) -> Iterator[None]:
    """Where an object is asked for, print on stderr meanwhile what would go to stdout."""
    if not as_json:
        yield
        return
    with redirect_stdout(err.file):
        yield


def write_object(found: Mapping[str, Any]) -> None:
    """Print the object (raises ValueError for NaN or infinity)."""
    from activmask.ground.shown import json_text

    write(f"{json_text(found)}\n")
