"""`activmask make-synthetic`: the paper's benchmark on disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activmask.data.settings import Source
from activmask.data.sources.synthetic.limits import IMAGES, SEEDS, SHARES, SIDES

from .console import err, failures_as_sentences, out
from .one_object import AsJson, talk_aside, write_object
from .preparing import next_step, print_mask_shares, print_next, written_json
from .progress import counting
from .ranges import number
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.data.writer import Summary

_IMAGES = "Images"
_DISTRACTOR = "Distractor"
_OUTPUT = "Output"
_USUAL_PLACE = Path(Source.data)


def make_synthetic(
    *,
    n: Annotated[
        int,
        number(IMAGES, "--n", help="Training images.", rich_help_panel=_IMAGES),
    ] = 500,
    valid: Annotated[
        int,
        number(IMAGES, help="Validation images.", rich_help_panel=_IMAGES),
    ] = 128,
    test: Annotated[int, number(IMAGES, help="Test images.", rich_help_panel=_IMAGES)] = 128,
    size: Annotated[
        int,
        number(SIDES, help="Side of the images in px.", rich_help_panel=_IMAGES),
    ] = 28,
    seed: Annotated[
        int,
        number(SEEDS, help="Same seed, same bytes.", rich_help_panel=_IMAGES),
    ] = 0,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Crosses may touch each other and the box.", rich_help_panel=_IMAGES),
    ] = False,
    correlation: Annotated[
        float,
        number(
            SHARES,
            help="Share of training images whose box agrees with the class.",
            rich_help_panel=_DISTRACTOR,
        ),
    ] = 1.0,
    valid_correlation: Annotated[
        float,
        number(
            SHARES,
            help="The same for validation: 0 as in the paper, turned round; that of training is iid.",
            rich_help_panel=_DISTRACTOR,
        ),
    ] = 0.0,
    test_correlation: Annotated[
        float | None,
        number(
            SHARES,
            help="The same for test; left out, that of validation.",
            rich_help_panel=_DISTRACTOR,
            show_default=False,
        ),
    ] = None,
    no_distractor: Annotated[
        bool, typer.Option("--no-distractor", help="Leave the box out.", rich_help_panel=_DISTRACTOR)
    ] = False,
    folder: Annotated[
        Path, typer.Option("--out", help="Folder of the data set to make.", rich_help_panel=_OUTPUT)
    ] = _USUAL_PLACE,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set at --out.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the synthetic benchmark: count the crosses, ignore the box in the corner.

    Example: activmask make-synthetic --n 500 --seed 1 --out data/crosses
    """
    with failures_as_sentences("out", "overwrite"):
        from activmask.data.sources.synthetic.prepare import make_synthetic as make
        from activmask.data.sources.synthetic.spec import SyntheticSpec

        spec = SyntheticSpec(
            n=n,
            valid=valid,
            test=test,
            size=size,
            seed=seed,
            correlation=correlation,
            valid_correlation=valid_correlation,
            test_correlation=test_correlation,
            distractor=not no_distractor,
            overlap=overlap,
        )
        with counting("drawing images") as progress:
            summary, distinct = make(spec, folder, overwrite=overwrite, progress=progress)
        with talk_aside(as_json):
            _print_summary(summary, distinct, folder)
            step = next_step(folder, {"model": "resnet18", "actdiff": 10})
            print_next(step)
    if as_json:
        write_object({**written_json(summary), "different": distinct, "next": step.to_json()})


def _print_summary(summary: "Summary", distinct: dict[str, int], folder: Path) -> None:
    table = result_table("Synthetic crosses", "split", "0: two crosses", "1: one cross", "different")
    for split, counts in summary.counts.items():
        table.add_row(split, str(counts[0]), str(counts[1]), str(distinct[split]))
    print_table(table)
    out.print(f"{summary.images} images of {summary.height} x {summary.width} px in {folder}")
    print_mask_shares(summary.mask_shares)
    if distinct["train"] < sum(summary.counts["train"].values()):
        err.print("note: images of this size have too few arrangements; training images repeat evenly")
