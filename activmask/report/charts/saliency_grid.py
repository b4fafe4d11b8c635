"""Where the networks of a data set look: rows models, columns methods (paper Figures 3, 4, 5a and 8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from activmask.data.sources.presets import presets
from activmask.report.charts.chart import Chart, drawing
from activmask.report.charts.sheet import Picture, Sheet
from activmask.report.findings.gallery import Gallery, look
from activmask.report.findings.looks import Look, Shown
from activmask.report.findings.series import finished, the_data_set
from activmask.runs.results import Run
from activmask.runs.selection import Epoch
from activmask.saliency.maps import TOP_SHARE
from activmask.saliency.render import blend
from activmask.training.feed.reading import Reading

Painter = Callable[[Sheet, float, float, Look], bool]
"""Paints the cell whose upper left corner lies there, and says whether there was anything to paint."""

_CELL, _ACROSS, _DOWN = 0.95, 1.02, 1.16
"""In inches: side of a picture, and from one to the next with the words under it."""

_MARGIN, _LABEL, _HEADING, _LINE, _NARROWEST = 0.02, 0.3, 0.4, 0.15, 2.4
"""In inches: left of everything; room for a row's label, an image's heading and a line of a
column's title; the least width."""

_DPI = 150
"""Of the pictures in a vector file: enough for the pixels of a 28 px image to keep their edges."""

_MOST_ACROSS = 12
"""Columns side by side; more go on below, as a page has no room for them."""

_TITLE_CHARACTERS = 14
_INPUTS = 3


def saliency_grid(
    runs: Sequence[Run],
    *,
    images: int = 2,
    seed: int | None = None,
    top: float = TOP_SHARE,
    epoch: Epoch = "last",
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
    reading: Reading | None = None,
) -> Chart | None:
    """Draw what each network looked at in the same validation images, or nothing without a finished run.

    An autoencoder trained to reconstruct gets a second row with what it decoded.

    Args:
        runs: of one data set, in any order; those without a finished seed are left out.
        images: how many images, the classes in turn from the highest.
        seed: of the networks; None takes the lowest that all runs have finished.
        top: share of the pixels to mark, in (0, 1].
        epoch: the weights after the last epoch, as in the paper, or those of the best epoch.
        device: where to compute.
        code: Python files that may run, as in `load_checkpoint`.
        reading: as in `look`.

    Raises:
        UsageError: no run has finished the seed, or `images` or `top` makes no sense.
        DataError: the data set is missing, broken, or unlike what the networks were made for.
    """
    ended = finished(runs)
    if not ended:
        return None
    gallery = look(
        ended, images=images, seed=seed, epoch=epoch, top=top, device=device, code=code, reading=reading
    )
    return _chart(the_data_set(ended), gallery, top, epoch)


def _chart(data: str, gallery: Gallery, top: float, epoch: Epoch) -> Chart:
    preset = gallery.preset
    with drawing():
        figure = _draw(gallery)
    return Chart(
        kind=(presets()[preset].figure if data.lower() == preset else "") or "saliency",
        title=f"Where the networks look, {data}",
        caption=_caption(gallery, top, epoch),
        alt=_alt(data, gallery, top),
        figure=figure,
    )


def overlay(one: Look) -> NDArray[np.float64]:
    """The image as the network saw it with its top pixels in orange, (H, W, 3) in [0, 1]."""
    return blend(one.image, one.top)


@dataclass(frozen=True)
class _Layout:
    """Where things lie, in inches from the upper left corner."""

    gallery: Gallery
    rows: tuple[tuple[str, str, Painter], ...]
    """Label, model and what is painted; one row per model, two with a decoder."""
    title: float
    """Height of the columns' titles."""
    indent: float
    """Left of the first cell."""

    stacked: bool
    """Whether the input's panels stand one under the other, as soon as the rows are as many."""

    @property
    def block(self) -> float:
        """Height of one image's line of cells."""
        return _HEADING + self.title + _DOWN * len(self.rows)


def _layout(gallery: Gallery) -> _Layout:
    rows: list[tuple[str, str, Painter]] = []
    for row in gallery.rows:
        rows.append((row, row, _paint_attribution))
        looks = [one for (model, _), of in gallery.looks.items() if model == row for one in of]
        if any(one.reconstruction is not None for one in looks):
            rows.append(("decoded", row, _paint_decoded))
    stacked = len(rows) >= _INPUTS
    inputs = (1 if stacked else _INPUTS) if gallery.shown else 0
    return _Layout(
        gallery=gallery,
        rows=tuple(rows),
        title=_LINE * max(len(_lines(column)) for column in gallery.columns) + 0.05,
        indent=_MARGIN + _LABEL + _ACROSS * inputs,
        stacked=stacked,
    )


def _draw(gallery: Gallery) -> Figure:
    layout = _layout(gallery)
    columns = gallery.columns
    parts = [columns[first : first + _MOST_ACROSS] for first in range(0, len(columns), _MOST_ACROSS)]
    width = layout.indent + _ACROSS * len(parts[0])
    height = layout.block * gallery.count * len(parts)
    sheet = Sheet(max(width, _NARROWEST), height, _CELL, _DPI)
    for number, (k, part) in enumerate(product(range(gallery.count), parts)):
        start = layout.block * number
        sheet.write(_MARGIN, start + 0.2, _heading(gallery, k), weight="bold", va="center", fontsize=10)
        below = start + _HEADING + layout.title
        if gallery.shown:
            _draw_input(sheet, gallery.shown[k], below, stacked=layout.stacked)
        _draw_cells(sheet, layout, k, part, below)
    return sheet.finished()


def _draw_cells(sheet: Sheet, layout: _Layout, k: int, columns: Sequence[str], below: float) -> None:
    looks = layout.gallery.looks
    for j, column in enumerate(columns):
        left = layout.indent + _ACROSS * j
        title = "\n".join(_lines(column))
        sheet.write(left + _CELL / 2, below - 0.05, title, ha="center", va="bottom", fontsize=8.5)
        for number, (_, row, paint) in enumerate(layout.rows):
            top = below + _DOWN * number
            if (row, column) not in looks or not paint(sheet, left, top, looks[row, column][k]):
                sheet.blank(left, top)
    for number, (label, _, _) in enumerate(layout.rows):
        middle = below + _DOWN * number + _CELL / 2
        sheet.write(layout.indent - 0.13, middle, label, rotation=90, ha="center", va="center", fontsize=9)


def _draw_input(sheet: Sheet, shown: Shown, below: float, *, stacked: bool) -> None:
    """The image, its mask and its dilated mask, one under the other or side by side."""
    panels: list[tuple[str, Picture]] = [("image", shown.image)]
    if shown.given is not None and shown.dilated is not None:
        panels += [("mask", shown.given), (f"dilated, {shown.dilated.mean():.0%}", shown.dilated)]
    for number, (words, picture) in enumerate(panels):
        left = _MARGIN + (0 if stacked else _ACROSS * number)
        top = below + (_DOWN * number if stacked else 0)
        sheet.picture(left, top, picture)
        sheet.under(left, top, words)


def _paint_attribution(sheet: Sheet, left: float, top: float, one: Look) -> bool:
    sheet.picture(left, top, overlay(one))
    sheet.border(left, top, one.shown.dilated)
    verdict = f"{one.predicted} {'right' if one.right else 'wrong'}"
    sheet.under(left, top, f"{verdict}, {_share(one)}", bold=not one.right)
    return True


def _paint_decoded(sheet: Sheet, left: float, top: float, one: Look) -> bool:
    if one.reconstruction is None:
        return False
    sheet.picture(left, top, one.reconstruction)
    return True


def _share(one: Look) -> str:
    if not one.top.any():
        return "blank"
    return "no mask" if one.inside is None else f"{one.inside:.0%}"


def _lines(column: str) -> list[str]:
    return wrap(column, _TITLE_CHARACTERS)


def _heading(gallery: Gallery, k: int) -> str:
    if not gallery.shown:
        return f"Image {k + 1} of each network"
    return f"Image {k + 1}: class {gallery.shown[k].label}"


def _caption(gallery: Gallery, top: float, epoch: Epoch) -> str:
    seeds = ", ".join(map(str, gallery.seeds))
    weights = "after the last epoch" if epoch == "last" else "of the best validation epoch"
    names = ", ".join(shown.name for shown in gallery.shown)
    pictured = f"the same validation images ({names})" if names else "validation images"
    sentences = [
        f"Each cell shows {pictured} with the weights {weights} (seed {seeds}).",
        f"Orange: the {top:.0%} of pixels with the highest absolute gradient of the contrast between the "
        "classes. Blue line: the dilated mask.",
        "Under each cell: the predicted class, whether it is right, and the share of the orange pixels in "
        "the dilated mask; chance is the mask's share of the image. Blank: no pixel has any gradient.",
        "A dash: no such network.",
    ]
    if any(one.reconstruction is not None for looks in gallery.looks.values() for one in looks):
        sentences.append(
            "Decoded: what the network reconstructs of the image, or, with Reconstruct Masked, of the image "
            "with the pixels outside the mask shuffled."
        )
    return " ".join([*sentences, *gallery.notes])


def _alt(data: str, gallery: Gallery, top: float) -> str:
    images = [
        f"{_heading(gallery, k)}{_covered(gallery, k)}. {' '.join(_alt_rows(gallery, k))}"
        for k in range(gallery.count)
    ]
    return (
        f"Grid of saliency maps for {data}, with the share of the highest {top:.0%} of the attribution that "
        f"lies in the dilated mask, and the predicted class. {' '.join(images)}"
    )


def _covered(gallery: Gallery, k: int) -> str:
    dilated = gallery.shown[k].dilated if gallery.shown else None
    return "" if dilated is None else f", the dilated mask has {dilated.mean():.0%} of the pixels"


def _alt_rows(gallery: Gallery, k: int) -> list[str]:
    sentences = []
    for row in gallery.rows:
        told = [
            f"{column} {_told(gallery.looks[row, column][k])}"
            for column in gallery.columns
            if (row, column) in gallery.looks
        ]
        sentences.append(f"{row}: {', '.join(told)}.")
    return sentences


def _told(one: Look) -> str:
    return f"{_share(one)} (class {one.predicted}, {'right' if one.right else 'wrong'})"
