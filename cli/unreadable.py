"""Results of which a part cannot be read: every command that gathers runs tells them alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .console import err

if TYPE_CHECKING:
    from activmask.ground.errors import ActivmaskError
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
    from activmask.ground.errors import CheckpointError

    counted = f"{len(unreadable)} of {of} {what}"
    advice = "restore them or train them anew"
    error = CheckpointError(counted, advice=advice if skip else f"{advice}, or give --skip-unreadable")
    tell_left_out([one.why for one in unreadable], error, skip=skip and len(unreadable) < of)


def tell_left_out(reasons: "Sequence[str]", error: "ActivmaskError", *, skip: bool) -> None:
    """Name what is left out, and end the command unless it was told to go on and something is left.

    Args:
        reasons: a sentence for each.
        error: counts them, and says what to do.
        skip: whether to go on.

    Raises:
        ActivmaskError: the error, where there is something and it is not to be skipped.
    """
    if not reasons:
        return
    for why in reasons:
        err.print(f"unreadable: {why}")
    if not skip:
        raise error
    err.print(f"note: {error.what} and are left out")
