"""`activmask prepare-xray`: a data set from NIH ChestX-ray14 and PadChest, or from the RSNA challenge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from activmask.data.files.limits import SIDES
from activmask.ground.errors import UsageError
from activmask.ground.limits import COUNTS, PROCESSES

from .console import failures_as_sentences, out
from .mask_options import MaskInvert, MaskThreshold, MaskValues, asked_reading, questions_name_the_flags
from .one_object import AsJson, talk_aside, write_object
from .prepare_rsna import check_alone, make_rsna, preview_rsna
from .preparing import (
    next_step,
    print_duplicates,
    print_mask_shares,
    print_next,
    print_skipped,
    skipped_json,
    written_json,
)
from .ranges import number
from .tables import ResultTable, print_table, result_table

if TYPE_CHECKING:
    from activmask.data.sources.xray.drawn_set import Eligible, XraySummary
    from activmask.data.sources.xray.prepare import Sources

_COLLECTIONS, _ELIGIBLE, _OUTPUT, _RUN = "Collections", "Eligible images", "Output", "Run"


def prepare_xray(
    *,
    nih: Annotated[
        Path | None,
        typer.Option(
            help="Folder below which the NIH ChestX-ray14 images lie.",
            rich_help_panel=_COLLECTIONS,
            show_default=False,
        ),
    ] = None,
    padchest: Annotated[
        Path | None,
        typer.Option(
            help="Folder below which the PadChest images lie.",
            rich_help_panel=_COLLECTIONS,
            show_default=False,
        ),
    ] = None,
    rsna: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the RSNA Pneumonia Detection Challenge as released, a data set by itself: boxes "
            "are masks, the view (AP, PA) is the site.",
            rich_help_panel=_COLLECTIONS,
            show_default=False,
        ),
    ] = None,
    nih_table: Annotated[
        Path | None,
        typer.Option(
            help="Data_Entry_2017.csv, if it is not in, above or just below its folder.",
            rich_help_panel=_COLLECTIONS,
            show_default=False,
        ),
    ] = None,
    padchest_table: Annotated[
        Path | None,
        typer.Option(
            help="PadChest's table of labels (PADCHEST_chest_x_ray_images_labels_*.csv), likewise.",
            rich_help_panel=_COLLECTIONS,
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks named like the images; left out, training draws the paper's circle.",
            rich_help_panel=_COLLECTIONS,
            show_default=False,
        ),
    ] = None,
    mask_values: MaskValues = None,
    mask_threshold: MaskThreshold = None,
    mask_invert: MaskInvert = False,
    finding: Annotated[
        str, typer.Option(help="What class 1 shows; class 0 is healthy.", rich_help_panel=_ELIGIBLE)
    ] = "emphysema",
    views: Annotated[
        Literal["PA", "all"],
        typer.Option(help="NIH views; PadChest is always PA.", rich_help_panel=_ELIGIBLE),
    ] = "PA",
    paper_views: Annotated[
        bool,
        typer.Option(
            "--paper-views",
            help="The paper's rules: every NIH view, PadChest's PA by DICOM view and label substrings.",
            rich_help_panel=_ELIGIBLE,
        ),
    ] = False,
    negatives: Annotated[
        Literal["all", "normal"],
        typer.Option(
            help="With --rsna: images without pneumonia, all (as the follow-up) or those called normal.",
            rich_help_panel=_ELIGIBLE,
        ),
    ] = "all",
    per_cell: Annotated[
        int | None,
        number(
            COUNTS,
            help="Images of each site and class (the paper: 500); left out, as many as all four have.",
            rich_help_panel=_ELIGIBLE,
            show_default=False,
        ),
    ] = None,
    paper_sampling: Annotated[
        bool,
        typer.Option(
            "--paper-sampling",
            help="With --dry-run: draw (--per-cell, the paper: 500) and split by image as the paper's code "
            "did, leaking patients.",
            rich_help_panel=_ELIGIBLE,
        ),
    ] = False,
    data: Annotated[
        Path, typer.Option("--out", help="Folder of the data set to make.", rich_help_panel=_OUTPUT)
    ] = Path("data/xray"),
    size: Annotated[
        int,
        number(SIDES, help="Side of the stored images in px.", rich_help_panel=_OUTPUT),
    ] = 128,
    intensity: Annotated[
        Literal["image", "released"],
        typer.Option(
            help="Brightness: each image from its own minimum to its own maximum, or NIH / 255 and "
            "PadChest / 65535 as the paper did, which tells the site.",
            rich_help_panel=_OUTPUT,
        ),
    ] = "image",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set at --out.", rich_help_panel=_OUTPUT)
    ] = False,
    workers: Annotated[int, number(PROCESSES, help="Processes.", rich_help_panel=_RUN)] = 1,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Processes here, or tasks on a Ray cluster that sees the folders.", rich_help_panel=_RUN
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster, or auto; left out, Ray starts here.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what each rule leaves, reading tables only, and stop.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a data set of chest X-rays, equally many of each site and class, drawn by patient.

    Example: activmask prepare-xray --nih NIH --padchest PadChest --per-cell 500 --workers 2
    """
    with failures_as_sentences("out", "overwrite"):
        from activmask.data.sources.xray.prepare import Sources, eligible_xrays
        from activmask.data.sources.xray.prepare import prepare_xray as prepare

        from .progress import counting, waiting

        _check_flags(paper_sampling, dry_run, engine, address)
        if rsna is not None:
            check_alone(
                {
                    "--nih": nih,
                    "--padchest": padchest,
                    "--nih-table": nih_table,
                    "--padchest-table": padchest_table,
                    "--masks": masks,
                    "--mask-values": mask_values,
                    "--mask-threshold": mask_threshold,
                    "--mask-invert": mask_invert,
                    "--finding": finding != "emphysema",
                    "--views": views != "PA",
                    "--paper-views": paper_views,
                    "--paper-sampling": paper_sampling,
                    "--intensity released": intensity == "released",
                }
            )
            if dry_run:
                preview_rsna(rsna, negatives, per_cell, as_json=as_json)
                return
            make_rsna(
                rsna,
                data,
                as_json=as_json,
                negatives=negatives,
                per_cell=per_cell,
                size=size,
                workers=workers,
                engine=engine,
                address=address,
                overwrite=overwrite,
            )
            return
        if negatives != "all":
            raise UsageError("--negatives belongs to --rsna")
        sources = Sources(nih=nih, padchest=padchest, nih_table=nih_table, padchest_table=padchest_table)
        if dry_run:
            with waiting("reading tables"):
                eligible = eligible_xrays(
                    sources, finding=finding, views=views, paper_views=paper_views or paper_sampling
                )
            with talk_aside(as_json):
                _print_eligible(eligible)
                _print_draw(eligible, per_cell, sources, paper_sampling=paper_sampling)
            if as_json:
                write_object(_eligible_json(eligible))
            return
        with questions_name_the_flags(), counting("reading images") as progress:
            summary = prepare(
                sources,
                data,
                finding=finding,
                views=views,
                paper_views=paper_views,
                per_cell=per_cell,
                size=size,
                intensity=intensity,
                masks=masks,
                mask_reading=asked_reading(mask_values, mask_threshold, mask_invert),
                workers=workers,
                engine=engine,
                address=address,
                overwrite=overwrite,
                progress=progress,
            )
        # Of one site alone nothing can correlate with the class, which is the preset's split.
        alone = len({site for site, _ in summary.cells}) == 1
        with talk_aside(as_json):
            _print_eligible(summary.eligible)
            _print_summary(summary, data, intensity)
            step = next_step(data, {"preset": "xray"}, {"split_policy": "subject"} if alone else {})
            print_next(step)
    if as_json:
        write_object({**_object(summary), "next": step.to_json()})


def _eligible_json(eligible: "Eligible") -> dict[str, Any]:
    from dataclasses import asdict

    return {"finding": eligible.finding.name, "eligible": [asdict(step) for step in eligible.steps]}


def _object(summary: "XraySummary") -> dict[str, Any]:
    return {
        **written_json(summary.written),
        **_eligible_json(summary.eligible),
        "cells": [
            {"site": site, "label": label, "images": count, "brightness": summary.brightness[site, label]}
            for (site, label), count in sorted(summary.cells.items())
        ],
        "planned": summary.planned,
        "replaced": summary.replaced,
        "circle_share": summary.circle_share,
        "mask_reading": summary.masks.card() if summary.masks.files else None,
        "duplicates": summary.duplicates.card(),
        "skipped": skipped_json(summary.skipped),
    }


def _check_flags(paper_sampling: bool, dry_run: bool, engine: str, address: str | None) -> None:
    if paper_sampling and not dry_run:
        raise UsageError(
            "--paper-sampling puts patients in two splits, which no data set here may do; "
            "use it with --dry-run, or --paper-views --per-cell 500 for images by the same rules, drawn and "
            "split by patient"
        )
    if address is not None and engine != "ray":
        raise UsageError("--address belongs to --engine ray")


def _print_eligible(eligible: "Eligible") -> None:
    finding = eligible.finding
    out.print(f"{finding.name}: '{finding.nih}' at NIH, '{finding.padchest}' at PadChest")
    table = result_table(
        "Eligible images / patients", "site", "after the rule", "all", finding.name, "healthy", names=2
    )
    for step in eligible.steps:
        table.add_row(
            step.site,
            step.rule,
            f"{step.images:,} / {step.patients:,}",
            f"{step.positives:,} / {step.positive_patients:,}",
            f"{step.healthy:,} / {step.healthy_patients:,}",
        )
    print_table(table)


def _print_draw(
    eligible: "Eligible", per_cell: int | None, sources: "Sources", *, paper_sampling: bool
) -> None:
    from activmask.data.sources.xray.sampling import PAPER_PER_CELL, patient_level_sizes, sample
    from activmask.data.sources.xray.sampling import paper_sampling as draw_as_paper

    if paper_sampling:
        each = PAPER_PER_CELL if per_cell is None else per_cell
        drawn = draw_as_paper(eligible.candidates, each)
        sizes = " / ".join(str(len(images)) for images in drawn.splits.values())
        out.print(
            f"the paper's sampling: {each} images of each site and class, train / valid / test {sizes} images"
        )
        out.print(
            f"it leaks: {drawn.leaking['valid']} valid and {drawn.leaking['test']} test images show patients "
            "who are in train too"
        )
        return
    images = sample(eligible.candidates, per_cell)
    cells = len({(image.site, image.label) for image in images})
    patients = len({image.subject for image in images})
    out.print(
        f"drawn: {len(images) // cells} of each site and class, {len(images)} images, {patients} patients"
    )
    if len(sources.folders()) == 2:
        sizes = " / ".join(map(str, patient_level_sizes(images).values()))
        out.print(
            f"split by patient with correlation 0.9 (seed 0): train / valid / test {sizes} images "
            "(the paper: 998 / 498 / 504 by image)"
        )


def _print_summary(summary: "XraySummary", data: Path, intensity: str) -> None:
    written = summary.written
    print_table(_cells(summary))
    out.print(
        f"{written.images} images of {written.height} x {written.width} px, 16 bits; {written.masks} masks; "
        f"mean image per site in {data / 'preview.png'}"
    )
    if summary.masks.files:
        out.print(summary.masks.sentence())
    print_mask_shares(written.mask_shares)
    out.print(f"the preset xray draws its own: a circle with {summary.circle_share:.1%} of the image inside")
    _print_brightness(summary, intensity)
    _print_replaced(summary)
    print_duplicates(summary.duplicates)
    print_skipped(summary.skipped, data)


def _print_brightness(summary: "XraySummary", intensity: str) -> None:
    means = {
        site: sum(summary.brightness[site, label] for label in (0, 1)) / 2
        for site in sorted({site for site, _ in summary.cells})
    }
    shown = ", ".join(f"{site} {mean:.3f}" for site, mean in means.items())
    cue = ""
    if intensity == "released" and len(means) > 1:
        cue = "; it tells the site, as in the paper's experiment: --intensity image treats the sites alike"
    out.print(f"mean brightness (--intensity {intensity}): {shown}{cue}")


def _print_replaced(summary: "XraySummary") -> None:
    if not summary.replaced:
        return
    left = min(summary.cells.values())
    fewer = f"; of {summary.planned} images per site and class {left} are left" * (left < summary.planned)
    out.print(
        f"drawn images that could not be used: {summary.replaced}; the next of the same order took their "
        f"place{fewer}"
    )


def _cells(summary: "XraySummary") -> ResultTable:
    table = result_table("", "site", summary.eligible.finding.name, "healthy")
    for site in sorted({site for site, _ in summary.cells}):
        table.add_row(site, *(str(summary.cells.get((site, label), 0)) for label in (1, 0)))
    return table
