"""The option that lets code run: the file that made a checkpoint's network."""

from pathlib import Path
from typing import Annotated

import typer

Code = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE.py",
        help="File whose function made the network of a checkpoint; it runs. Such checkpoints are read only "
        "where it is named and still the same to the byte. May be given again.",
        rich_help_panel="Machine",
        show_default=False,
    ),
]
"""None lets no code run."""


def code_words(model: str) -> tuple[str | Path, ...]:
    """What lets the code of a network run, by the network's name; nothing for those that need none."""
    from activmask.models.own_code import code_of, is_own_code

    return ("--code", code_of(model)[0]) if is_own_code(model) else ()
