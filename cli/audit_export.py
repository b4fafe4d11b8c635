"""`activmask audit export`: the pictures of every condition, for any system to predict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from activmask.data.files.limits import SIGMAS
from activmask.ground.limits import RUN_SEEDS
from activmask.ground.settings import Range

from .console import err, failures_as_sentences, out
from .progress import counting
from .ranges import number
from .shell import command_line

if TYPE_CHECKING:
    from activmask.auditing.conditions.export import Exported

DRAWS = Range(least=1, most=100)
"""Of each condition that is random."""


def audit_export(
    *,
    data: Annotated[Path, typer.Option(help="The data set's folder.", show_default=False)],
    folder: Annotated[
        Path, typer.Option("--out", help="Folder to make, of pictures and their manifest.")
    ] = Path("variants"),
    split: Annotated[
        Literal["train", "valid", "test", "all"] | None,
        typer.Option(
            help="Whose images, by the data set's own column; left out, test, or all without one.",
            show_default=False,
        ),
    ] = None,
    mask_blur: Annotated[
        float,
        number(SIGMAS, help="Sigma, in px of the native image, by which masks grow as in training."),
    ] = 0.0,
    draws: Annotated[int, number(DRAWS, help="Of each shuffled condition.")] = 3,
    seed: Annotated[int, number(RUN_SEEDS, help="Of shuffles and the bootstrap.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the export at --out.")] = False,
) -> None:
    """Write the pictures of every condition, for any system to predict; audit score does the rest.

    The pictures are grey PNG files without any text, of 8 bits, or 16 where the images have more.

    Example: activmask audit export --data own/data --out variants
    """
    with failures_as_sentences("out", "overwrite"):
        from activmask.auditing.conditions.export import export

        with counting("writing") as done:
            found = export(
                data,
                folder,
                split=split,
                mask_blur=mask_blur,
                draws=draws,
                seed=seed,
                overwrite=overwrite,
                done=done,
            )
    _print_summary(found)


def _print_summary(found: "Exported") -> None:
    where = "" if found.split == "all" else f" of the {found.split} split"
    out.print(
        f"{found.files} pictures of {found.bit_depth} bits in {found.root}: {found.images} images{where} "
        "under every condition."
    )
    if found.left_out:
        err.print(f"note: {found.left_out} images without a mask that covers a part of them are left out")
    if found.borrowed:
        err.print(
            f"note: having a mask tells the class, so {found.borrowed} images without one took the masks of "
            "random other images"
        )
    if found.rounded:
        err.print("note: the images are floats, which 16 bits do not hold; the pictures are rounded")
    out.print("Next, predict every file that its manifest.csv names, and write a table such as")
    out.print("    file,score")
    out.print("    full/scan7.png,0.83")
    out.print(
        f"then: {command_line('activmask', 'audit', 'score', found.root, 'predictions.csv')}", soft_wrap=True
    )
