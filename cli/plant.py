"""`activmask plant`: a data set whose images carry a known shortcut."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from activmask.data.planting.limits import SEEDS, SHARES, SIZES, STRENGTHS, UNTOLD, Kind, Place

from .console import err, failures_as_sentences, out
from .next_steps import say_next
from .one_object import AsJson, talk_aside, write_object
from .preparing import next_step, print_mask_shares, print_next, written_json
from .ranges import number, numbers
from .shell import command_line
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.data.planting.plant import Planted
    from activmask.data.planting.planting import Planting

_SHARES, _LOOK, _OUTPUT = "Shares", "Look", "Output"


def plant(
    data: Annotated[Path, typer.Argument(help="Folder of a data set, with splits.", show_default=False)],
    *,
    shortcut: Annotated[Kind, typer.Option(help="What to plant.", rich_help_panel=_LOOK, show_default=False)],
    of_class: Annotated[
        str,
        typer.Option(
            "--class",
            help="Of which class it becomes a sign, by name or number.",
            rich_help_panel=_SHARES,
            show_default=False,
        ),
    ],
    share: Annotated[
        str,
        typer.Option(
            metavar="SHARE[,SHARE...]",
            help=f"Share of that class's training images that carry it, {SHARES}. Several make a set each "
            "and a grid over them.",
            rich_help_panel=_SHARES,
            show_default=False,
        ),
    ],
    valid_share: Annotated[
        float | None,
        number(
            SHARES,
            help="The same in validation; left out, 1 - --share: there the sign is turned round; of several "
            "--share, each itself.",
            rich_help_panel=_SHARES,
            show_default=False,
        ),
    ] = None,
    test_share: Annotated[
        float | None,
        number(
            SHARES,
            help=f"The same in test; left out, 1 - --share; of several --share, {UNTOLD:g}.",
            rich_help_panel=_SHARES,
            show_default=False,
        ),
    ] = None,
    other_share: Annotated[
        float | None,
        number(
            SHARES,
            help="Share of each other class's images, in every split; left out, 1 - that of the class.",
            rich_help_panel=_SHARES,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, number(SEEDS, help="Same data and seed, same bytes.", rich_help_panel=_SHARES)] = 0,
    split_policy: Annotated[
        Literal["given", "subject"],
        typer.Option(
            help="The data set's own splits, or splits drawn by subject (50/25/25) and written down.",
            rich_help_panel=_SHARES,
        ),
    ] = "given",
    strength: Annotated[
        float | None,
        number(
            STRENGTHS,
            help="Opacity of what is drawn (left out, 1); of brightness the way to white (0.2), of blur the "
            "sigma in tenths of the side (0.2), of noise the SD (0.1), of jpeg the loss (0.8).",
            rich_help_panel=_LOOK,
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        float | None,
        number(
            SIZES,
            help="Of the shorter side, what is drawn takes this share (left out: tag and text 0.12, box "
            "0.25, border 0.04).",
            rich_help_panel=_LOOK,
            show_default=False,
        ),
    ] = None,
    place: Annotated[
        Place,
        typer.Option(
            help="Corner of a tag, text or box; auto is the one that covers least of the masks.",
            rich_help_panel=_LOOK,
        ),
    ] = "auto",
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder of the data set to make; of several --share, of their folders.",
            rich_help_panel=_OUTPUT,
        ),
    ] = Path("data/planted"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set at --out.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Plant a known shortcut on a known share of a data set's images, each beside its untouched twin.

    Example: activmask plant data/scans --shortcut tag --class 1 --share 0.9 --out data/planted
    """
    with failures_as_sentences("out", "overwrite"):
        from activmask.data.planting.planting import Planting

        shares = numbers("--share", share)
        asked = Planting(
            shortcut=shortcut,
            of_class=of_class,
            share=shares[0],
            valid_share=valid_share,
            test_share=test_share,
            other_share=other_share,
            strength=strength,
            size=size,
            place=place,
            seed=seed,
            split_policy=split_policy,
        )
        with talk_aside(as_json):
            if len(shares) == 1:
                found = _plant_one(data, folder, asked, overwrite=overwrite)
            else:
                found = _plant_each(data, folder, asked, shares, overwrite=overwrite)
    if as_json:
        write_object(found)


def _plant_one(data: Path, folder: Path, asked: "Planting", *, overwrite: bool) -> dict[str, Any]:
    from activmask.data.planting.plant import plant as write_planted

    from .progress import counting

    with counting("planting") as progress:
        planted = write_planted(data, folder, asked, overwrite=overwrite, progress=progress)
    _print_summary(planted, asked.shortcut, folder)
    step = next_step(folder, {}, {"split_policy": "given"})
    print_next(step)
    return {"sets": [_set_json(planted, asked)], "grid": None, "next": step.to_json()}


def _plant_each(
    data: Path, folder: Path, asked: "Planting", shares: tuple[float, ...], *, overwrite: bool
) -> dict[str, Any]:
    from activmask.data.planting.at_shares import plant_at_shares
    from activmask.experiments.dose_grid import GRID_FILE, check_grid_place, write_dose_grid

    from .progress import counting

    grid = folder / GRID_FILE
    check_grid_place(grid, overwrite=overwrite)
    sets = {}
    with counting("planting") as progress:
        made = list(plant_at_shares(data, folder, asked, shares, overwrite=overwrite, progress=progress))
    for share, place, planted in made:
        _print_summary(planted, asked.shortcut, place)
        sets[share] = place
    write_dose_grid(grid, asked.shortcut, sets)
    out.print(f"a grid over these {len(sets)} sets: {grid}")
    runs = Path("runs") / folder.name
    train = command_line("activmask", "sweep", grid, "--out", runs)
    report = command_line("activmask", "report", runs)
    say_next(train, report)
    planted_sets = [_set_json(planted, replace(asked, share=share)) for share, _, planted in made]
    return {"sets": planted_sets, "grid": str(grid), "next": {"sweep": train, "report": report}}


def _set_json(planted: "Planted", asked: "Planting") -> dict[str, Any]:
    """What was planted, as a plain dictionary; counts of a dose are by class."""
    return {
        **written_json(planted.written),
        "shortcut": asked.shortcut,
        "of_class": planted.classes[planted.number],
        "share": asked.share,
        "strength": planted.strength,
        "size": planted.size,
        "place": planted.place,
        "classes": list(planted.classes),
        "doses": [asdict(dose) for dose in planted.doses],
        "touched": asdict(planted.touched),
        "left_out": planted.left_out,
        "notes": _notes(planted, asked.shortcut),
    }


def _print_summary(planted: "Planted", shortcut: str, folder: Path) -> None:
    name = planted.classes[planted.number]
    table = result_table(
        f"Images with the {shortcut}, of all",
        "split",
        *(f"{number}: {one}" for number, one in enumerate(planted.classes)),
        "phi",
        "accuracy",
    )
    for dose in planted.doses:
        cells = (f"{k} of {n}" for k, n in zip(dose.planted, dose.images, strict=True))
        phi = "-" if dose.phi is None else f"{dose.phi:+.3f}"
        table.add_row(dose.split, *cells, phi, f"{dose.accuracy:.3f}")
    print_table(table)
    out.print(
        f"phi: correlation of the {shortcut} with the class {name}; accuracy: of the {shortcut} as its sign"
    )
    written = planted.written
    out.print(
        f"{written.images} images of {written.height} x {written.width} px, {written.bit_depth} bits, in "
        f"{folder}"
    )
    for sentence in _sentences(planted, shortcut):
        out.print(sentence)
    print_mask_shares(written.mask_shares)
    for note in _notes(planted, shortcut):
        err.print(f"note: {note}")


def _sentences(planted: "Planted", shortcut: str) -> list[str]:
    touched = planted.touched
    if planted.whole:
        return [f"The {shortcut} changes whole images, so it has no mask of its own."]
    where = f"lies {planted.place}" if planted.place else "lies along the edges"
    if not touched.masked:
        return [f"The {shortcut} {where}; no image that carries it has a mask."]
    return [
        f"The {shortcut} {where}; it touches the mask of {touched.images} of the {touched.masked} images "
        f"that carry it and have one, and covers {touched.share:.1%} of the area of those masks."
    ]


def _notes(planted: "Planted", shortcut: str) -> list[str]:
    carried, notes = sum(sum(dose.planted) for dose in planted.doses), []
    if not carried:
        notes.append("nothing was planted; the data set has no twins")
    if planted.touched.unchanged:
        notes.append(
            f"the {shortcut} left {planted.touched.unchanged} of the {carried} images that carry it as they "
            "were, pixel by pixel"
        )
    if planted.left_out:
        notes.append(f"{planted.left_out} images are in no split and were left out")
    return notes
