"""Where the command line prints, and how failures become sentences and exit codes.

Results go to stdout, talk and progress to stderr. Exit codes: 2 wrong use, 3 bad data,
configuration or checkpoint, 4 training that diverged or lost one of its processes, or a sweep of
which some cells failed, 130 interrupted; 1, with a traceback, is a defect of ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from activmask.ground.errors import ActivmaskError, PeerLost, TrainingDiverged, UsageError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

TRAINING_FAILED = 4
"""The exit code where some training did not come to its end."""


def exit_code(error: ActivmaskError) -> int:
    """The process exit code that tells a script what kind of failure this was."""
    if isinstance(error, UsageError):
        return 2
    return TRAINING_FAILED if isinstance(error, TrainingDiverged | PeerLost) else 3


@contextmanager
def failures_as_sentences() -> Iterator[None]:
    """Print a user's failure as one sentence on stderr and leave with its exit code."""
    try:
        yield
    except ActivmaskError as error:
        err.print(f"[bold red]error:[/] {_plain(error)}")
        raise typer.Exit(exit_code(error)) from None
    except (MemoryError, RuntimeError) as error:
        from activmask.machine.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        err.print("[bold red]error:[/] there is not enough memory for this; ask for less at once")
        raise typer.Exit(3) from None
    except KeyboardInterrupt:
        err.print("interrupted")
        raise typer.Exit(130) from None


def _plain(error: ActivmaskError) -> str:
    from rich.markup import escape

    return escape(str(error))
