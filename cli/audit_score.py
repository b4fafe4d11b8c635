"""`activmask audit score`: what any system's predictions of exported pictures come to."""

from pathlib import Path
from typing import Annotated

import typer

from activmask.ground.settings import Range

from .condition_tables import print_conditions
from .console import err, failures_as_sentences, write
from .ranges import number

THRESHOLDS = Range(least=-1e300, most=1e300)
"""Of one score."""


def audit_score(
    variants: Annotated[Path, typer.Argument(help="Folder that audit export wrote.", show_default=False)],
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV file: a column file, named as in manifest.csv, and one column score, or one per class.",
            show_default=False,
        ),
    ],
    *,
    threshold: Annotated[
        float | None,
        number(
            THRESHOLDS,
            help="Of one score, above which it decides for the second class; left out, 0.5 where all scores "
            "lie in 0 to 1.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Score the predictions that any system made of exported pictures: what is its score made of?

    Example: activmask audit score variants predictions.csv
    """
    with failures_as_sentences():
        from activmask.auditing.conditions.score_export import score_export
        from activmask.ground.shown import json_text

        found = score_export(variants, predictions, threshold=threshold)
        for note in found.notes:
            err.print(f"note: {note}")
        if as_json:
            write(f"{json_text(found.to_json())}\n")
            return
        print_conditions(found.conditions, found.classes)
