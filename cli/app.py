"""The root of the command line: its table of contents."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .audit_app import audit_app
from .collection import leave_at_exit
from .console import ending_on_request, plain_usage_errors, tell_error, tell_warnings, write
from .demo import demo
from .evaluate import evaluate
from .late import flowing
from .make_synthetic import make_synthetic
from .missing import AllMissing
from .plant import plant
from .prepare_folder import prepare_folder
from .prepare_msd import prepare_msd
from .prepare_xray import prepare_xray
from .report import report
from .run_options import BareFlags
from .saliency import saliency
from .score import score
from .search import search
from .streams import with_own_streams
from .sweep import sweep
from .table import table
from .train import train


class Commands(TyperGroup):
    """The commands, whose wrong use is told in characters that are seen."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Take the words before the command."""
        with plain_usage_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Take the words of the command, and run it."""
        with plain_usage_errors():
            return super().invoke(ctx)


app = typer.Typer(
    name="activmask",
    cls=Commands,
    help="Does an image classifier look where the expert points, and does making it look there help?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        write(f"{version('activmask')}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _in(panel: str, *commands: Callable[..., None], **how: Any) -> None:
    for command in commands:
        app.command(help=flowing(command), rich_help_panel=panel, **how)(command)


_in("Start", demo)
_in("Data", make_synthetic)
_in("Data", prepare_folder, cls=AllMissing)
_in("Data", prepare_msd, prepare_xray)
_in("Data", plant, cls=AllMissing)
_in("Experiments", train, cls=BareFlags)
_in("Experiments", evaluate)
app.add_typer(audit_app, name="audit", rich_help_panel="Experiments")
_in("Experiments", saliency, score)
_in("Grids", sweep)
_in("Grids", search, cls=BareFlags)
_in("Grids", table, report)


def main() -> None:
    """Run the command line."""
    tell_warnings()
    leave_at_exit()
    with ending_on_request():
        with_own_streams(app, tell_error)


if __name__ == "__main__":
    main()
