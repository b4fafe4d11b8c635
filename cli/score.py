"""`activmask score`: how well heat maps made elsewhere agree with masks."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from activmask.data.files.limits import SIGMAS
from activmask.ground.limits import RUN_SEEDS

from .console import err, failures_as_sentences, write
from .progress import counting
from .ranges import number
from .table_file import check_table_place, write_table
from .tables import print_table, result_table, stacked
from .unreadable import tell_left_out

if TYPE_CHECKING:
    from activmask.evaluation.map_results import ScoredFolder
    from activmask.evaluation.map_scores import MapScores

    from .tables import ResultTable

_HEADING_WIDTH = 8
"""At which headings are broken, so that the rows of groups fit a terminal of 80 columns."""


def score(
    maps: Annotated[
        Path,
        typer.Argument(
            help="Folder of heat maps, one file an image and called as it: npy, npz, PNG or TIFF of 8 or 16 "
            "bits, TIFF of floats, NIfTI."
        ),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The data set's folder, whose masks count.", rich_help_panel="Data", show_default=False
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="In place of a data set: a folder of masks, called as the maps.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        Literal["train", "valid", "test", "all"] | None,
        typer.Option(
            help="Whose maps to score, by the data set's own column; left out, test, or all without one.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    mask_blur: Annotated[
        float,
        number(
            SIGMAS,
            help="Sigma, in px of the native image, by which masks grow as in training; 0 leaves them.",
            rich_help_panel="Data",
        ),
    ] = 0.0,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Go on without images whose map is missing or cannot be used, which are named and counted; "
            "left out, they are an error (exit code 3).",
            rich_help_panel="Data",
        ),
    ] = False,
    sign: Annotated[
        Literal["positive", "absolute"] | None,
        typer.Option(
            help="What counts of maps with negative values, for which it must be said: positive, or "
            "absolute, as evaluate has it.",
            rich_help_panel="Maps",
            show_default=False,
        ),
    ] = None,
    resize: Annotated[
        bool,
        typer.Option("--resize", help="Resize maps bilinearly to their images.", rich_help_panel="Maps"),
    ] = False,
    nifti_axes: Annotated[
        Literal["rows-first", "columns-first"] | None,
        typer.Option(
            help="How NIfTI files of square images are stored: rows-first, as a NumPy array saved as it is, "
            "or columns-first, as NIfTI's x and y.",
            rich_help_panel="Maps",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        Literal["site", "label", "subject"] | None,
        typer.Option(
            help="Also a row for each site, label or subject.", rich_help_panel="Output", show_default=False
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="CSV file to write, one row per image.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel="Output")
    ] = False,
    seed: Annotated[int, number(RUN_SEEDS, help="Of the bootstrap.", rich_help_panel="Output")] = 0,
) -> None:
    """Score heat maps made elsewhere: how much of them lies in the masks, beside what chance gives.

    Example: activmask score maps/ --data own/data --sign absolute
    """
    with failures_as_sentences():
        from activmask.data.files.tables import format_sheet
        from activmask.evaluation.map_files import score_maps
        from activmask.evaluation.map_results import Options
        from activmask.ground.errors import DataError
        from activmask.ground.shown import json_text

        if out_file is not None:
            check_table_place(out_file, "--out", data)
        options = Options(
            split=split,
            sign=sign,
            mask_blur=mask_blur,
            resize=resize,
            nifti_axes=nifti_axes,
            seed=seed,
        )
        with counting("scoring") as done:
            found = score_maps(maps, data=data, masks=masks, options=options, done=done)
        for note in found.notes:
            err.print(f"note: {note}")
        lost, asked = found.unreadable, len(found.unreadable) + found.scores.n
        advice = "" if skip_unreadable else ", or give --skip-unreadable"
        error = DataError(
            f"{len(lost)} of {asked} images have no map that can be used", advice=f"write them anew{advice}"
        )
        tell_left_out(lost, error, skip=skip_unreadable and found.scores.n > 0)
        groups = {} if by is None else found.by(by)
        if out_file is not None:
            write_table(out_file, format_sheet(*found.table()), "table of scores")
        if as_json:
            write(f"{json_text(found.to_json(by))}\n")
            return
        print_table(_table(found))
        if by is not None:
            print_table(_by(by, groups))
        if out_file is not None:
            err.print(f"wrote {out_file}")


def _table(found: "ScoredFolder") -> "ResultTable":
    scores = found.scores
    sign = f"; sign: {found.options.sign}" if found.options.sign else ""
    who = (
        f"{scores.n} image{'s' * (scores.n != 1)} of {scores.subjects} subject{'s' * (scores.subjects != 1)}"
    )
    split = f"{found.split} split" if found.split != "all" else "all images"
    blur = found.options.mask_blur
    masks = f"masks grown by blur {blur:g}" if blur else "masks as stored"
    title = f"{found.maps} against {found.against}, {split} ({who}{sign}; {masks})"
    table = result_table(title, "metric", "mean", "95 %", "SD", "by chance")
    for row in scores.rows:
        between = "-" if row.low is None else f"{_number(row.low)} to {_number(row.high)}"
        table.add_row(row.metric, _number(row.mean), between, _number(row.sd), _number(row.chance))
    return table


def _by(column: str, groups: "dict[str, MapScores]") -> "ResultTable":
    metrics = [row.metric for row in next(iter(groups.values())).rows]
    headings = [stacked(wrap(name, _HEADING_WIDTH, break_long_words=False)) for name in metrics]
    title = f"By {column}: mean, and by chance in brackets"
    table = result_table(title, column, "n", *headings, framed=False)
    for name, scores in groups.items():
        cells = [stacked([_number(row.mean), f"({_number(row.chance)})"]) for row in scores.rows]
        table.add_row(name, str(scores.n), *cells)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
