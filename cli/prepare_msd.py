"""`activmask prepare-msd`: a data set from a task of the Medical Segmentation Decathlon."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activmask.data.files.limits import SIDES, SIGMAS
from activmask.data.sources.msd.organs import ORGANS
from activmask.data.sources.presets import presets
from activmask.ground.limits import NUMBERS, PROCESSES
from activmask.ground.listed import listed

from .console import failures_as_sentences, out
from .one_object import AsJson, talk_aside, write_object
from .preparing import (
    NextStep,
    next_step,
    print_duplicates,
    print_mask_shares,
    print_next,
    print_skipped,
    skipped_json,
    written_json,
)
from .ranges import ends, number
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.data.sources.msd.prepare import MsdSummary


def prepare_msd(
    source: Annotated[
        Path,
        typer.Argument(
            help="Task folder, its dataset.json, its .tar as downloaded, or an nnU-Net v2 folder.",
            show_default=False,
        ),
    ],
    *,
    labels: Annotated[
        str,
        typer.Option(
            help="Names or numbers of the labels that make the organ, separated by commas; all if left out.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = "",
    channel: Annotated[
        int,
        number(
            NUMBERS,
            help="Which modality of a multi-channel task.",
            rich_help_panel="Input",
        ),
    ] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder of the data set to make; "
            f"{listed((f'data/{name}' for name in (*ORGANS, 'TASK')), 'or')} if left out.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int,
        number(SIDES, help="Side of the stored slices in px.", rich_help_panel="Output"),
    ] = 110,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="LO,HI",
            help="Values that become black and white; -160,240 HU for CT and the 0.5 to 99.5 percentile of "
            "each volume for others if left out.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    slices_per_volume: Annotated[
        int,
        number(
            NUMBERS,
            help="Draw this many slices of each volume, half of each class; 0 takes all.",
            rich_help_panel="Output",
        ),
    ] = 0,
    mask_blur: Annotated[
        float | None,
        number(
            SIGMAS,
            metavar="SIGMA",
            help="Sigma by which training will dilate the masks, in px of the volume's own slices; only "
            "noted, with the radius and the shares that result. The paper's value for the task if left out.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set at --out.", rich_help_panel="Output")
    ] = False,
    workers: Annotated[
        int,
        number(
            PROCESSES,
            help="Processes, each holding one volume.",
            rich_help_panel="Run",
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Make a data set of the axial slices of a task of the Medical Segmentation Decathlon.

    Example: activmask prepare-msd Task03_Liver --workers 2
    """
    with failures_as_sentences("out", "overwrite"):
        black_white = None if window is None else ends("--window", window)
        from activmask.data.sources.msd.prepare import default_out
        from activmask.data.sources.msd.prepare import prepare_msd as prepare

        from .progress import counting

        data = data or default_out(source)
        with counting("reading volumes") as progress:
            summary = prepare(
                source,
                data,
                labels=tuple(label.strip() for label in labels.split(",") if label.strip()),
                channel=channel,
                size=size,
                window=black_white,
                slices_per_volume=slices_per_volume,
                mask_blur=mask_blur,
                workers=workers,
                overwrite=overwrite,
                progress=progress,
            )
        with talk_aside(as_json):
            _print_summary(summary, data)
            step = _next_step(summary, data)
            print_next(step)
    if as_json:
        write_object(_object(summary, step))


def _next_step(summary: "MsdSummary", data: Path) -> NextStep:
    # The blur of a preset, or of none, may not be the one that was asked for.
    blur = {"mask_blur": summary.mask_blur}
    if summary.preset is None:
        return next_step(data, {"split_policy": "subject"}, blur)
    usual = presets()[summary.preset].settings["mask_blur"] == summary.mask_blur
    return next_step(data, {"preset": summary.preset}, {} if usual else blur)


def _object(summary: "MsdSummary", step: NextStep) -> dict[str, Any]:
    return {
        **written_json(summary.written),
        "task": summary.task,
        "preset": summary.preset,
        "volumes": summary.volumes,
        "unplaced_volumes": summary.unplaced,
        "mask_blur": summary.mask_blur,
        "mask_radius": summary.mask_radius,
        "native_sides": list(summary.native_sides),
        "constant_images": list(summary.constant),
        "duplicates": summary.duplicates.card(),
        "skipped": skipped_json(summary.skipped),
        "next": step.to_json(),
    }


def _print_summary(summary: "MsdSummary", data: Path) -> None:
    from activmask.data.files.volume_slices import unplaced_note
    from activmask.data.used_ranges import constant_images

    written = summary.written
    counts = written.counts["all"]
    table = result_table("", "task", "volumes", "slices with organ", "without")
    table.add_row(summary.task, str(summary.volumes), str(counts[1]), str(counts[0]))
    print_table(table)
    out.print(f"{written.images} slices of {written.height} x {written.width} px, 16 bits")
    seconds = summary.seconds_decompressing + summary.seconds_elsewhere
    out.print(
        f"{seconds:.1f} s of work on volumes, {summary.seconds_elsewhere / seconds:.0%} of it "
        "outside decompression"
    )
    out.print(
        f"mask blur {summary.mask_blur:g} px of the native slice grows masks by {summary.mask_radius} of "
        f"{_native(summary.native_sides)} px, which are {_stored_radius(summary)} of {written.width} px as "
        "stored, in training; they are stored as they are"
    )
    print_mask_shares(written.mask_shares)
    if unplaced := unplaced_note(summary.unplaced):
        out.print(f"note: {unplaced}")
    if summary.constant:
        out.print(f"note: {constant_images(summary.constant)}")
    print_duplicates(summary.duplicates)
    print_skipped(summary.skipped, data)


def _native(sides: tuple[int, int]) -> str:
    least, greatest = sides
    return str(least) if least == greatest else f"{least} to {greatest}"


def _stored_radius(summary: "MsdSummary") -> str:
    import numpy as np

    from activmask.data.dilation import stored_radii

    size, (least, greatest) = summary.written.width, summary.native_sides
    radii = stored_radii(summary.mask_blur, (size, size), np.array([[greatest, least]]))[0].tolist()
    return _native((radii[0], radii[1]))
