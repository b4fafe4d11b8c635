"""`activmask evaluate`: score checkpoints and audit them for shortcuts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activmask.runs.description import Device
from activmask.runs.selection import Epoch

from .console import err, failures_as_sentences, write
from .progress import waiting

if TYPE_CHECKING:
    from activmask.evaluation.batch import Evaluated


def evaluate(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Checkpoint files, run folders (all their seeds), or folders of runs."),
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="Another data set's folder; left out, the data each checkpoint was trained on. Classes are "
            "matched by name, and what the run saw in training is left out.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="train, valid or test: of a run's own data as it was written down in training, of other "
            "data by its own column (without one, all of it is test).",
            rich_help_panel="Data",
        ),
    ] = "test",
    accept_recipe: Annotated[
        bool,
        typer.Option(
            "--accept-recipe",
            help="Evaluate on other data although its images were prepared otherwise (source, window, "
            "intensity, labels, channel, size).",
            rich_help_panel="Data",
        ),
    ] = False,
    epoch: Annotated[
        Epoch,
        typer.Option(
            help="The epoch that folders stand for. Where a shortcut is learned, the best is the first, "
            "before it was.",
            rich_help_panel="Data",
        ),
    ] = "best",
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel="Machine")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Score checkpoints, audit them for shortcuts, and measure where they look.

    Example: activmask evaluate runs/demo --split test
    """
    with failures_as_sentences():
        from activmask.evaluation.batch import evaluate_checkpoint, to_json
        from activmask.machine.device import choose_device
        from activmask.runs.checkpoint_paths import find_checkpoints

        place = choose_device(device)
        paths = list(dict.fromkeys(path for given in checkpoints for path in find_checkpoints(given, epoch)))
        evaluated: list[Evaluated] = []
        with waiting("evaluating") as told:
            for number, path in enumerate(paths, 1):
                told(f"evaluating {number} of {len(paths)}")
                evaluated.append(
                    evaluate_checkpoint(
                        path, data=data, split=split, accept_recipe=accept_recipe, device=place
                    )
                )
    for note in dict.fromkeys(note for one in evaluated for note in one.notes):
        err.print(f"note: {note}")
    if as_json:
        from activmask.ground.shown import json_text

        write(f"{json_text(to_json(evaluated))}\n")
        return
    from .evaluation_tables import print_tables

    print_tables(evaluated)
