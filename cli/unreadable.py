"""Results of which a part cannot be read: every command that gathers runs tells them alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .console import err

if TYPE_CHECKING:
    from activmask.runs.seed_folders import Unreadable

SkipUnreadable = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable",
        help="Go on without the seeds that cannot be read, which are named and counted; left out, they are "
        "an error (exit code 3).",
        rich_help_panel="Data",
    ),
]
"""The flag of all of them."""


def tell_unreadable(
    unreadable: "Sequence[Unreadable]", of: int, *, skip: bool, what: str = "seeds cannot be read"
) -> None:
    """Name what cannot be read, and end the command unless it was told to skip it.

    Args:
        unreadable: of what was asked for.
        of: how many seeds were found, these among them.
        skip: whether to go on without them.
        what: is the matter with them.

    Raises:
        CheckpointError: there is something, and it is not to be skipped, or nothing is left.
    """
    if not unreadable:
        return
    for one in unreadable:
        err.print(f"unreadable: {one.why}")
    counted = f"{len(unreadable)} of {of} {what}"
    if skip and len(unreadable) < of:
        err.print(f"note: {counted} and are left out")
        return
    from activmask.ground.errors import CheckpointError

    advice = "restore them or train them anew"
    raise CheckpointError(counted, advice=advice if skip else f"{advice}, or give --skip-unreadable")
