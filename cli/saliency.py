"""`activmask saliency`: draw where a checkpoint looks in images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activmask.ground.limits import NUMBERS, PERCENT
from activmask.ground.listed import listed
from activmask.runs.description import Device
from activmask.saliency.choices import HEAT, AskedSplit, ColourMap
from activmask.saliency.methods import METHODS, USUAL_METHOD

from .code_option import Code
from .collection import uncollected
from .completion import among
from .console import err, failures_as_sentences, others_talk_aside, write
from .late import with_help
from .next_steps import say_next
from .progress import waiting
from .ranges import number
from .shell import command_line
from .tables import ResultTable, print_table, result_table

if TYPE_CHECKING:
    from activmask.ground.errors import ActivmaskError
    from activmask.runs.checkpoint import Checkpoint
    from activmask.saliency.explain import Explanation

NAMED = 3
"""Places of pictures that a note names."""
FEW = 12
"""Up to so many images have a row and a picture each; of more, all are in the sheet and the table alone."""


def _that_look_at_one() -> str:
    return listed((name for name, one in METHODS.items() if one.feature_map), "or")


@with_help(
    method=lambda: "; ".join(f"{name}: {one.help} ({one.source})" for name, one in METHODS.items()),
    layer=lambda: (
        f"Layer whose feature map {_that_look_at_one()} explains, such as layer3; left out, the last "
        "feature map."
    ),
)
def saliency(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A checkpoint that train wrote: best.safetensors or last.safetensors of a seed."),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="PNG, JPEG, TIFF, WebP, BMP or DICOM files, NIfTI volumes, folders or data sets; each image "
            "is prepared as the network's data set was, or refused. Left out, the network's own test images.",
            show_default=False,
        ),
    ] = None,
    *,
    split: Annotated[
        AskedSplit | None,
        typer.Option(
            help="Only this split of data sets; without images, of the network's own data, as training "
            "wrote it down.",
            rich_help_panel="What to explain",
            show_default="test of its own data, else all",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(autocompletion=among(lambda: METHODS), rich_help_panel="What to explain"),
    ] = USUAL_METHOD,
    target: Annotated[
        int | None,
        number(
            NUMBERS,
            help="Class whose score is explained; left out, each image's predicted class.",
            rich_help_panel="What to explain",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of a network of several labels, the one that is explained: what speaks for or against it.",
            rich_help_panel="What to explain",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel="What to explain",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="The image's mask (of a volume, its labels), or a folder of masks named as the images.",
            rich_help_panel="What to explain",
            show_default="that of the data set which an image lies in",
        ),
    ] = None,
    slice_number: Annotated[
        int | None,
        number(
            NUMBERS,
            "--slice",
            metavar="N",
            help="Axial slice of NIfTI volumes to explain, counted from 0 at the patient's feet.",
            rich_help_panel="What to explain",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        float,
        number(
            PERCENT,
            help="Percent of the pixels to mark in the overlay, those of highest attribution.",
            rich_help_panel="What to write",
        ),
    ] = 10.0,
    colours: Annotated[
        ColourMap,
        typer.Option("--map", help="Colours of the map.", rich_help_panel="What to write"),
    ] = HEAT,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Picture file (one image) or folder; never inside a data set.",
            rich_help_panel="What to write",
            show_default="img.saliency.png next to one image, saliency/ of several",
        ),
    ] = None,
    each: Annotated[
        bool,
        typer.Option(
            "--each",
            help=f"Also write a picture of each image; up to {FEW} have theirs anyway.",
            rich_help_panel="What to write",
        ),
    ] = False,
    raw: Annotated[
        Path | None,
        typer.Option(
            help="Also write the attributions as float32 .npy: (H, W), or (N, H, W) for several images; into "
            "a folder, one file an image, as score takes them.",
            rich_help_panel="What to write",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel="What to write")
    ] = False,
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel="Machine")] = "auto",
    code: Code = None,
) -> None:
    """Draw where a trained network looks, and print what it decides.

    Of several images it writes a contact sheet and a table, and sums them up in one row.

    Example: activmask saliency demo/runs/actdiff/seed-0/best.safetensors scan.png
    """
    broken: list[tuple[Path, ActivmaskError]] = []
    with failures_as_sentences(), waiting("explaining") as say, others_talk_aside():
        with uncollected():
            from activmask.machine.device import choose_device
            from activmask.runs.label_checkpoint import load_label
            from activmask.saliency.asked import named_images, own_images
            from activmask.saliency.explain import explain
            from activmask.saliency.inputs import read_inputs
            from activmask.saliency.known_images import known_images
            from activmask.saliency.pictures import (
                check_raw_path,
                check_top,
                folder_beside,
                picture_paths,
                sheet_files,
                sheet_folder,
                write_pictures,
                write_raw,
                write_sheet,
            )

        place = choose_device(device)
        check_top(top / 100)
        notes: tuple[str, ...] = ()
        if images:
            files = named_images(images, split, volumes=slice_number is not None)
            loaded = load_label(checkpoint, label, code=code or ())
        else:
            loaded = load_label(checkpoint, label, code=code or ())
            files, notes = own_images(loaded, split or "test")
        several = len(files) > 1
        folder = sheet_folder(files, to) if several else None
        drawn = files if each or len(files) <= FEW else []
        places = dict(zip(drawn, picture_paths(drawn, folder or to, slice_number=slice_number), strict=True))
        if raw is not None:
            check_raw_path(raw, files)
        inputs = read_inputs(
            loaded,
            files,
            mask,
            slice_number=slice_number,
            known=known_images(files),
            failed=(lambda path, error: broken.append((path, error))) if several else None,
        )
        if not inputs.paths:
            _end(broken, of=len(files))
        explanations = explain(
            loaded,
            inputs,
            method=method,
            target=target,
            layer=layer,
            device=place,
            done=lambda n, of: say(f"explained {n} of {of} images"),
        )
        lost = [(str(path), str(error)) for path, error in broken]
        if folder is not None:
            sheet = sheet_files(explanations, title=str(checkpoint), lost=lost, colours=colours)
            if to is None and (beside := folder_beside(sheet, folder)) != folder:
                notes += (f"{folder} holds other maps, so these are in {beside}",)
                folder = beside
                places = dict(
                    zip(drawn, picture_paths(drawn, folder, slice_number=slice_number), strict=True)
                )
        pictured = {places[one.path]: one for one in explanations if one.path in places}
        written = list(pictured)
        replaced = write_pictures([*pictured.values()], written, top=top / 100, colours=colours)
        if folder is not None:
            written += write_sheet(sheet, folder)
        if raw is not None:
            write_raw(explanations, raw, files)
            written.append(raw)
    for note in (*notes, *_of_replaced([] if to else replaced), *inputs.notes):
        err.print(f"note: {note}")
    _print(loaded, explanations, lost, written, as_json=as_json)
    with failures_as_sentences():
        _end(broken, of=len(files))
    _say_next(checkpoint, code or [], as_json=as_json)


def _say_next(checkpoint: Path, code: Sequence[Path], *, as_json: bool) -> None:
    """Propose to people the report of the run that a checkpoint is of, where that is finished."""
    from activmask.runs.folder import METRICS_FILE

    seed = checkpoint.parent
    if not as_json and seed.name and (seed / METRICS_FILE).exists():
        words = [word for file in code for word in ("--code", file)]
        say_next(command_line("activmask", "report", seed.parent, *words))


def _of_replaced(pictures: list[Path]) -> tuple[str, ...]:
    """A note on places that nobody named and whose pictures are no longer what they were."""
    if not pictures:
        return ()
    more = [f"{len(pictures) - NAMED} more"] if len(pictures) > NAMED else []
    places = listed([*map(str, pictures[:NAMED]), *more])
    return (f"another picture was in {places} before; --out writes elsewhere",)


def _end(broken: "list[tuple[Path, ActivmaskError]]", *, of: int) -> None:
    """Name the images that could not be explained, if any, and raise that there are some."""
    if not broken:
        return
    from activmask.ground.errors import DataError

    for _, error in broken[:FEW]:
        err.print(f"unreadable: {error}")
    if len(broken) > FEW:
        err.print(f"unreadable: {len(broken) - FEW} more")
    raise DataError(f"{len(broken)} of {of} images cannot be explained", advice="replace or leave them out")


def _print(
    checkpoint: "Checkpoint",
    explanations: "list[Explanation]",
    lost: list[tuple[str, str]],
    written: list[Path],
    *,
    as_json: bool,
) -> None:
    from activmask.saliency.told import to_json

    if as_json:
        from activmask.ground.shown import json_text

        told = {
            "checkpoint": str(checkpoint.path),
            **to_json(explanations, lost),
            "files": [str(path) for path in written],
        }
        write(f"{json_text(told)}\n")
    else:
        if len(explanations) <= FEW:
            print_table(_table(explanations))
        if len(explanations) > 1:
            print_table(_summary(explanations))
    _say_written(written)


def _say_written(written: list[Path]) -> None:
    # The sheet and the table come last, and tell of all others.
    shown = written if len(written) <= FEW + 3 else written[-3:]
    more = [f"and {len(written) - len(shown)} more"] if len(shown) < len(written) else []
    err.print("wrote", *shown, *more, sep="\n")


def _table(explanations: "list[Explanation]") -> ResultTable:
    layers = {
        f"{explanation.method} at {explanation.layer}" for explanation in explanations if explanation.layer
    }
    columns = ("image", "predicted", "probability", "inside mask", "by chance")
    table = result_table("".join(layers), *columns, texts=[1])
    for one in explanations:
        table.add_row(
            str(one.path) if one.slice_number is None else f"{one.path}, slice {one.slice_number}",
            _class(one, one.predicted),
            f"{one.probabilities[one.predicted]:.3f}",
            _percent(one.share_inside),
            _percent(one.chance_inside),
        )
    return table


def _summary(explanations: "list[Explanation]") -> ResultTable:
    from activmask.saliency.told import summarise

    told = summarise(explanations)
    columns = ("images", "right", "with mask", "inside mask", "by chance")
    table = result_table("", *columns, *(f"as {name}" for name in told.predicted))
    spread = "" if told.inside_sd is None else f" ± {told.inside_sd:.1%}"
    table.add_row(
        str(told.images),
        f"{told.right} of {told.labelled}" if told.labelled else "-",
        str(told.masked),
        f"{_percent(told.inside)}{spread}",
        _percent(told.chance),
        *map(str, told.predicted.values()),
    )
    return table


def _class(one: "Explanation", number: int) -> str:
    return f"class {number} ({one.called(number)})" if one.class_names else one.called(number)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
