"""From eligible X-rays to a data set: equally many of each site and class are drawn, made and written.

Shapes: S x S pixels as stored.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from activmask.data.duplicates import DuplicateFinder, Duplicates, watched
from activmask.data.files.intensities import FULL_RANGE
from activmask.data.files.mask_reading import MaskSurvey, survey_given
from activmask.data.files.mask_values import MaskReading
from activmask.data.mask_shares import circle_share
from activmask.data.sources.xray.cache import cache_beside, finished_images, remove_outdated
from activmask.data.sources.xray.findings import Finding
from activmask.data.sources.xray.making import Crew, Drawn, Files, Making, draw_made, image_name
from activmask.data.sources.xray.pixels import CROP, SCALINGS
from activmask.data.sources.xray.preview import SiteMeans
from activmask.data.sources.xray.sampling import Cell
from activmask.data.sources.xray.source import XRAY
from activmask.data.sources.xray.tables import Candidate, Step
from activmask.data.writer import Record, Summary, check_target, write_dataset
from activmask.ground.claims import Claim
from activmask.ground.progress import ItemsDone


@dataclass(frozen=True)
class Eligible:
    """What the tables alone say."""

    finding: Finding
    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class XraySummary:
    """What was written, and what was left out."""

    written: Summary
    eligible: Eligible
    cells: dict[Cell, int]
    """Images written by site and label, as many of each."""
    planned: int
    """Images of each site and class there would be if no file were broken."""
    replaced: int
    """Drawn images that could not be used, so that the next of their cell's order was drawn."""
    brightness: dict[Cell, float]
    """Mean of the stored images by site and label, in [0, 1]."""
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason) of rows and images left out."""
    circle_share: float
    """Of the image inside the circle that the preset takes for a mask."""
    masks: MaskSurvey
    """Which values the masks hold, and how they were read."""
    duplicates: Duplicates
    """Pictures that occur under several patients."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn from, and how it is made and told of."""

    eligible: Eligible
    candidates: Sequence[Candidate]
    """Eligible images that have a file."""
    files: Files
    """Of every candidate."""
    per_cell: int | None
    """Images of each site and class; None takes as many as the smallest cell can give."""
    how: Making
    crew: Crew
    mask_reading: MaskReading | None
    """As it was asked for."""
    card: Mapping[str, Any]
    """What the card begins with, `classes` among it, by number in their order."""
    licence: str


def write_drawn(
    out: Path,
    drawing: Drawing,
    survey: MaskSurvey,
    skipped: list[tuple[str, str]],
    *,
    claim: Claim,
    overwrite: bool,
    progress: ItemsDone | None,
) -> XraySummary:
    """Draw, make and write a data set.

    Args:
        out: its folder.
        drawing: what and how.
        survey: of the masks of the first draw.
        skipped: what was left out so far.
        claim: the caller's on `out`.
        overwrite: replace a data set that lies there.
        progress: called with the number of images done and their total.

    Raises:
        DataError: a cell has too few images, or what is left cannot make a data set.
    """
    eligible, how = drawing.eligible, drawing.how
    cache = _cache(out, how)
    drawn = draw_made(drawing.candidates, drawing.files, drawing.per_cell, how, drawing.crew, cache, progress)
    if drawn.broken:
        # The masks of the images that took their places were not looked at yet.
        survey = survey_given(mask_files(drawn.images, drawing.files), drawing.mask_reading)
    skipped += drawn.broken
    cells = Counter((image.site, image.label) for image in drawn.images)
    card = _card(drawing, cells, len(drawn.broken))
    card |= {"mask_reading": survey.card()} if survey.files else {}
    means, brightness, finder = SiteMeans(), dict[Cell, float](), DuplicateFinder()
    records = _records(drawn, cache, how.size, means, brightness, card)
    written = write_dataset(
        out,
        watched(records, card, finder),
        card=card,
        overwrite=overwrite,
        preview=means.draw,
        skipped=skipped,
        mask_blur=XRAY.presets["xray"].settings["mask_blur"],
        claim=claim,
    )
    cache.unlink()
    remove_outdated(out)
    return XraySummary(
        written=written,
        eligible=eligible,
        cells=dict(cells),
        planned=drawn.planned,
        replaced=len(drawn.broken),
        brightness=brightness,
        skipped=tuple(skipped),
        circle_share=card["circle_share"],
        masks=survey,
        duplicates=finder.result,
    )


def mask_files(images: Sequence[Candidate], files: Files) -> list[Path | None]:
    """The mask's file of each image, None for one that has none."""
    masks = [files[image.site, image.file_name][1] for image in images]
    return [mask if isinstance(mask, Path) else None for mask in masks]


def check_place(out: Path, overwrite: bool) -> None:
    """Refuse a place that a data set cannot take, once what was kept for a finished one is gone."""
    remove_outdated(out)
    check_target(out, overwrite)


def _records(
    drawn: Drawn,
    cache: Path,
    size: int,
    means: SiteMeans,
    brightness: dict[Cell, float],
    card: dict[str, Any],
) -> Iterator[Record]:
    """The finished images in the order of the draw, whose brightness is told to the card at the end."""
    shares: dict[Cell, list[float]] = {}
    for image, made in zip(drawn.images, finished_images(cache, drawn.numbers, size), strict=True):
        assert made.pixels is not None, "finished images have pixels"
        means.add(image.site, made.pixels)
        shares.setdefault((image.site, image.label), []).append(float(made.pixels.mean()) / FULL_RANGE)
        yield Record(image_name(image), made.pixels, made.mask, image.label, image.subject, image.site, "")
    brightness.update({cell: round(fmean(of), 4) for cell, of in shares.items()})
    card["brightness"] = _by_site(card["classes"], brightness)


def _cache(out: Path, how: Making) -> Path:
    """The file of finished images, which another way of making them never shares."""
    return cache_beside(out, f"{how.size}\n{how.intensity}\n{CROP}\n{how.reading}")


def _by_site(classes: Mapping[str, int], cells: Mapping[Cell, float]) -> dict[str, dict[str, float]]:
    """Numbers of the cells by site and class name."""
    names = list(classes)
    table: dict[str, dict[str, float]] = {}
    for (site, label), number in sorted(cells.items()):
        table.setdefault(site, {})[names[label]] = number
    return table


def _card(drawing: Drawing, cells: Mapping[Cell, int], replaced: int) -> dict[str, Any]:
    how = drawing.how
    return {
        **drawing.card,
        "rules": [vars(step) for step in drawing.eligible.steps],
        "per_cell": min(cells.values()),
        "cells": _by_site(drawing.card["classes"], cells),
        "replaced": replaced,
        "circle_share": circle_share(how.size),
        "resized_to": how.size,
        "crop": CROP,
        "intensity": how.intensity,
        "intensities": SCALINGS[str(how.intensity)],
        "licence": drawing.licence,
    }
