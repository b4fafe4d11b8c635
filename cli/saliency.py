"""`activmask saliency`: draw where a checkpoint looks in images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from activmask.ground.limits import NUMBERS, PERCENT
from activmask.ground.listed import listed
from activmask.runs.description import Device
from activmask.saliency.methods import METHODS, USUAL_METHOD

from .code_option import Code
from .console import err, failures_as_sentences, others_talk_aside
from .late import with_help
from .progress import waiting
from .ranges import number
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.ground.errors import ActivmaskError
    from activmask.saliency.explain import Explanation


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
        Path, typer.Argument(help="A checkpoint that train wrote, such as runs/demo/seed-0/best.safetensors.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="PNG, JPEG, TIFF or DICOM files, folders whose images are all explained, or NIfTI volumes; "
            "each is prepared as the network's data set was, or refused."
        ),
    ],
    *,
    method: Annotated[
        str,
        typer.Option(
            rich_help_panel="What to explain",
        ),
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
            show_default=False,
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
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Picture file (one image) or folder; left out, img.saliency.png next to each image.",
            rich_help_panel="What to write",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            help="Also write the attributions as float32 .npy: (H, W), or (N, H, W) for several images; into "
            "a folder, one file an image, as score takes them.",
            rich_help_panel="What to write",
            show_default=False,
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel="Machine")] = "auto",
    code: Code = None,
) -> None:
    """Draw where a trained network looks, and print what it decides.

    Example: activmask saliency runs/demo/seed-0/best.safetensors scan.png --mask scan-mask.png
    """
    broken: list[ActivmaskError] = []
    with failures_as_sentences(), waiting("explaining"), others_talk_aside():
        from activmask.machine.device import choose_device
        from activmask.runs.checkpoint import load_checkpoint
        from activmask.saliency.explain import explain
        from activmask.saliency.inputs import image_files, read_inputs
        from activmask.saliency.pictures import check_raw_path, picture_paths, write_pictures, write_raw
        from activmask.training.feed.known_recipe import known_classes

        place = choose_device(device)
        files = image_files(images)
        places = dict(zip(files, picture_paths(files, to, slice_number=slice_number), strict=True))
        if raw is not None:
            check_raw_path(raw, files)
        loaded = load_checkpoint(checkpoint, code=code or ())
        failed = None if len(files) == 1 else broken.append
        inputs = read_inputs(loaded, files, mask, slice_number=slice_number, failed=failed)
        if not inputs.paths:
            _end(broken, of=len(files))
        explanations = explain(loaded, inputs, method=method, target=target, layer=layer, device=place)
        pictures = [places[path] for path in inputs.paths]
        write_pictures(explanations, pictures, top=top / 100)
        if raw is not None:
            write_raw(explanations, raw, files)
        names = known_classes(loaded)
    for note in inputs.notes:
        err.print(f"note: {note}")
    print_table(_table(explanations, names))
    written = pictures if raw is None else [*pictures, raw]
    err.print("wrote", *written, sep="\n")
    with failures_as_sentences():
        _end(broken, of=len(files))


def _end(broken: "list[ActivmaskError]", *, of: int) -> None:
    """Name the images that could not be explained, if any, and raise that there are some."""
    if not broken:
        return
    from activmask.ground.errors import DataError

    for error in broken:
        err.print(f"unreadable: {error}")
    raise DataError(f"{len(broken)} of {of} images cannot be explained", advice="replace or leave them out")


def _table(explanations: "list[Explanation]", names: tuple[str, ...]) -> Table:
    layers = {
        f"{explanation.method} at {explanation.layer}" for explanation in explanations if explanation.layer
    }
    table = result_table("".join(layers), "image", "predicted", "probability", "inside mask", "by chance")
    for explanation in explanations:
        table.add_row(
            str(explanation.path),
            _class(explanation.predicted, names),
            f"{explanation.probabilities[explanation.predicted]:.3f}",
            _percent(explanation.share_inside),
            _percent(explanation.chance_inside),
        )
    return table


def _class(number: int, names: tuple[str, ...]) -> str:
    return f"class {number} ({names[number]})" if names else f"class {number}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
