"""What `activmask prepare-xray --rsna` does and prints."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activmask.ground.errors import UsageError
from activmask.ground.listed import listed

from .console import out
from .one_object import talk_aside, write_object
from .preparing import (
    next_step,
    print_duplicates,
    print_mask_shares,
    print_next,
    print_skipped,
    skipped_json,
    written_json,
)
from .tables import ResultTable, print_table, result_table

if TYPE_CHECKING:
    from activmask.data.sources.xray.drawn_set import Eligible, XraySummary
    from activmask.data.sources.xray.rsna import Negatives


def check_alone(others: Mapping[str, Any]) -> None:
    """Refuse flags of the other collections beside --rsna, by flag (raises UsageError)."""
    given = [flag for flag, value in others.items() if value]
    if given:
        verb = "belong" if len(given) > 1 else "belongs"
        raise UsageError(
            f"{listed(given)} {verb} to NIH ChestX-ray14 and PadChest, and --rsna is a data set of its own; "
            "leave one of them out"
        )


def preview_rsna(folder: Path, negatives: "Negatives", per_cell: int | None, *, as_json: bool) -> None:
    """Print what the rules leave and what would be drawn."""
    from activmask.data.sources.xray.rsna import eligible_rsna
    from activmask.data.sources.xray.sampling import sample

    from .progress import counting

    with counting("reading headers") as progress:
        found = eligible_rsna(folder, negatives=negatives, progress=progress)
    images = sample(found.eligible.candidates, per_cell)
    cells = len({(image.site, image.label) for image in images})
    with talk_aside(as_json):
        _print_eligible(found.eligible)
        out.print(f"drawn: {len(images) // cells} of each view and class, {len(images)} images")
        _print_cut(found.cut)
    if as_json:
        write_object({**_eligible_json(found.eligible), "boxes_cut": found.cut})


def make_rsna(folder: Path, data: Path, *, as_json: bool, **chosen: Any) -> None:
    """Make the data set by `prepare_rsna`, with its further arguments, and print what became of it."""
    from activmask.data.sources.xray.rsna import prepare_rsna

    from .progress import counting

    with counting("reading images") as progress:
        summary, cut = prepare_rsna(folder, data, progress=progress, **chosen)
    before = {"preset": "xray", "mask": "file", "image_size": summary.written.width, "correlation": 0.1}
    step = next_step(data, before)
    with talk_aside(as_json):
        _print_summary(summary, cut, data)
        print_next(step)
    if as_json:
        write_object(
            {
                **written_json(summary.written),
                **_eligible_json(summary.eligible),
                "cells": [
                    {
                        "site": site,
                        "label": label,
                        "images": count,
                        "brightness": summary.brightness[site, label],
                    }
                    for (site, label), count in sorted(summary.cells.items())
                ],
                "boxes_cut": cut,
                "replaced": summary.replaced,
                "skipped": skipped_json(summary.skipped),
                "next": step.to_json(),
            }
        )


def _eligible_json(eligible: "Eligible") -> dict[str, Any]:
    return {"finding": eligible.finding.name, "eligible": [vars(step) for step in eligible.steps]}


def _print_summary(summary: "XraySummary", cut: int, data: Path) -> None:
    written = summary.written
    _print_eligible(summary.eligible)
    print_table(_cells(summary))
    out.print(
        f"{written.images} images of {written.height} x {written.width} px, 16 bits; {written.masks} masks; "
        f"mean image per view in {data / 'preview.png'}"
    )
    print_mask_shares(written.mask_shares)
    _print_cut(cut)
    if summary.replaced:
        out.print(
            f"drawn images that could not be used: {summary.replaced}; the next of the same order took their "
            "place"
        )
    out.print(
        "each image is a subject: the collection does not tell which images are of one patient, so a patient "
        "with several may be in two splits"
    )
    print_duplicates(summary.duplicates)
    print_skipped(summary.skipped, data)


def _print_eligible(eligible: "Eligible") -> None:
    columns = ("view", "after the rule", "all", "pneumonia", "no pneumonia")
    table = result_table("Eligible images", *columns, names=2)
    for step in eligible.steps:
        table.add_row(step.site, step.rule, f"{step.images:,}", f"{step.positives:,}", f"{step.healthy:,}")
    print_table(table)


def _print_cut(cut: int) -> None:
    if cut:
        out.print(f"boxes that reach over the edge of their image, and are cut there: {cut}")


def _cells(summary: "XraySummary") -> ResultTable:
    table = result_table("", "view", "pneumonia", "no pneumonia")
    for site in sorted({site for site, _ in summary.cells}):
        table.add_row(site, *(str(summary.cells.get((site, label), 0)) for label in (1, 0)))
    return table
