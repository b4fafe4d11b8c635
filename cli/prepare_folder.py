"""`activmask prepare-folder`: a data set from anybody's folder of images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from activmask.data.files.limits import SIDES
from activmask.ground.errors import UsageError

from .console import failures_as_sentences, out
from .mask_options import MaskInvert, MaskThreshold, MaskValues, asked_reading, questions_name_the_flags
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
from .shell import command_line
from .tables import ResultTable, print_table, result_table

if TYPE_CHECKING:
    from activmask.data.sources.folder.prepare import FolderSummary


def prepare_folder(
    images: Annotated[
        Path,
        typer.Argument(
            help="Folder of PNG, JPEG, TIFF, WebP, BMP or DICOM images, or of NIfTI volumes, whose axial "
            "slices become images.",
            show_default=False,
        ),
    ],
    *,
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV table with the columns file_name and label; mask_file_name, subject, site and split "
            "may follow, and others, such as sex, which are kept; slice names one slice of a volume.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of PNG, TIFF, BMP or DICOM masks, or of NIfTI label volumes, named like the images "
            "unless the table has mask_file_name; masks hold 0 and one other value, which is inside.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = None,
    colour: Annotated[
        Literal["keep", "grey", "refuse"] | None,
        typer.Option(
            help="Keep colours (three channels), make all images grey (luma), or skip those in colour; left "
            "out, colours are kept where any image shows some.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = None,
    label_from_mask: Annotated[
        bool,
        typer.Option(
            "--label-from-mask",
            help="Class present where something is inside the mask, absent where nothing is; the table then "
            "needs no label.",
            rich_help_panel="Input",
        ),
    ] = False,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="The one of two labels that becomes class 1; left out, the later in order.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = None,
    multi_label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Labels that do not exclude each other: each a column of 1 and 0 (empty where unknown), or "
            "all in the column label with | between them.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="LO,HI",
            help="Values of volumes that become black and white; left out, the 0.5 and 99.5 percentile of "
            "each volume.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = None,
    mask_labels: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Values of label volumes that are inside; left out, all above 0.",
            rich_help_panel="Input",
            show_default=False,
        ),
    ] = None,
    mask_values: MaskValues = None,
    mask_threshold: MaskThreshold = None,
    mask_invert: MaskInvert = False,
    allow_duplicates: Annotated[
        bool,
        typer.Option(
            "--allow-duplicates",
            help="Take equal pixels in two of the table's splits, which are refused otherwise.",
            rich_help_panel="Input",
        ),
    ] = False,
    data: Annotated[
        Path, typer.Option("--out", help="Folder of the data set to make.", rich_help_panel="Output")
    ] = Path("data/folder"),
    name: Annotated[
        str,
        typer.Option(help="What tables call the data set.", rich_help_panel="Output", show_default=False),
    ] = "",
    title: Annotated[
        str,
        typer.Option(help="What headings call the data set.", rich_help_panel="Output", show_default=False),
    ] = "",
    size: Annotated[
        int | None,
        number(
            SIDES,
            help="Resize all images to this side in px; left out, they must share one size.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    fit: Annotated[
        Literal["pad", "crop", "stretch"] | None,
        typer.Option(
            help="How images that are not square fill --size: with black bars (pad, if left out), cut to "
            "their middle, or stretched.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    intensity: Annotated[
        str | None,
        typer.Option(
            help="Largest value that 16-bit images can have (4095 for 12 bits), or image: every image from "
            "its own minimum to its own maximum; left out, 65535, and unequal ranges are refused.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set at --out.", rich_help_panel="Output")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a data set from a folder of images, a table of labels and, if any, a folder of masks.

    Example: activmask prepare-folder scans --masks rois --labels labels.csv --out data/scans
    """
    with failures_as_sentences():
        from activmask.data.sources.folder.prepare import prepare_folder as prepare

        from .progress import counting

        with questions_name_the_flags(), _sizes_name_the_flag(), counting("reading images") as progress:
            summary = prepare(
                images,
                labels,
                data,
                masks=masks,
                size=size,
                fit=fit,
                colour=colour,
                intensity=_intensity(intensity),
                mask_reading=asked_reading(mask_values, mask_threshold, mask_invert),
                mask_labels=_labels(mask_labels),
                window=None if window is None else ends("--window", window),
                label_from_mask=label_from_mask,
                positive=positive,
                multi_label=() if multi_label is None else [name.strip() for name in multi_label.split(",")],
                name=name,
                title=title,
                allow_duplicates=allow_duplicates,
                overwrite=overwrite,
                progress=progress,
            )
        policy = "given" if "all" not in _counts(summary) else "subject"
        with talk_aside(as_json):
            _print_summary(summary, data, positive)
            step = next_step(data, {}, {"split_policy": policy})
            print_next(step)
    if as_json:
        write_object(_object(summary, step))


@contextmanager
def _sizes_name_the_flag() -> Iterator[None]:
    from activmask.data.files.limits import SizeNeeded

    try:
        yield
    except SizeNeeded as error:
        error.advice = "--size PX resizes all images to one square size"
        raise


def _counts(summary: "FolderSummary") -> dict[str, Any]:
    """Images by split, and by class or label."""
    return {**summary.written.counts, **summary.written.label_counts}


def _object(summary: "FolderSummary", step: NextStep) -> dict[str, Any]:
    return {
        **written_json(summary.written),
        "classes": summary.classes,
        "colours": summary.colours,
        "fitted": summary.fitted or None,
        "mask_reading": summary.masks.card() if summary.masks.files else None,
        "volumes": summary.volumes or None,
        "empty_masks": summary.empty_masks,
        "notes": list(summary.notes),
        "duplicates": summary.duplicates.card(),
        "skipped": skipped_json(summary.skipped),
        "next": step.to_json(),
    }


_MOST_DIGITS = 9
"""Of a whole number on the command line; Python itself reads no more than some thousands."""


def _intensity(text: str | None) -> int | Literal["image"] | None:
    if text is None:
        return None
    if text == "image":
        return "image"
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    raise UsageError("--intensity must be image or a whole number such as 4095", found=f"'{text}'")


def _labels(text: str | None) -> tuple[int, ...]:
    words = [] if text is None else [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS for word in words):
        raise UsageError("--mask-labels must be whole numbers such as 1,2", found=repr(text))
    return tuple(sorted({int(word) for word in words}))


def _print_summary(summary: "FolderSummary", data: Path, positive: str | None) -> None:
    written = summary.written
    print_table(_labels_table(summary) if written.label_counts else _classes_table(summary))
    depth = f"{written.bit_depth} bits{' a channel' if written.channels > 1 else ''}"
    out.print(
        f"{written.images} images of {written.height} x {written.width} px, {depth}; {written.masks} masks"
    )
    _print_positive(summary.classes, positive)
    out.print(summary.colours)
    if summary.fitted:
        out.print(summary.fitted)
    if summary.masks.files:
        out.print(summary.masks.sentence())
    if summary.volumes:
        out.print(summary.volumes)
    if summary.empty_masks:
        out.print(f"{summary.empty_masks} masks are empty: stored as no mask")
    print_mask_shares(written.mask_shares)
    for note in summary.notes:
        out.print(f"note: {note}")
    print_duplicates(summary.duplicates)
    print_skipped(summary.skipped, data)


def _classes_table(summary: "FolderSummary") -> ResultTable:
    table = result_table("", "split", *(f"{label} = {k}" for label, k in summary.classes.items()))
    for split, counts in summary.written.counts.items():
        table.add_row(split, *(str(counts.get(k, 0)) for k in summary.classes.values()))
    return table


def _labels_table(summary: "FolderSummary") -> ResultTable:
    """Images by split and label; those of which a label is not known count in none of its losses."""
    table = result_table("", "split", "label", "yes", "no", "unknown", names=2)
    for split, of_split in summary.written.label_counts.items():
        for label, counts in of_split.items():
            table.add_row(split, label, *(str(counts[word]) for word in ("yes", "no", "unknown")))
    return table


def _print_positive(classes: dict[str, int], positive: str | None) -> None:
    """Say which of two names became class 1, where nobody chose it."""
    if positive is not None or len(classes) != 2 or set(classes) == {"0", "1"}:
        return
    negative, one = sorted(classes, key=lambda label: classes[label])
    swap = command_line("--positive", negative)
    out.print(f"class 1, whose scores are judged, is '{one}', the later in order; {swap} swaps the two")
