"""The contact sheet: many explanations on one page, each as its map over its image."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from matplotlib.figure import Figure

from activmask.saliency.choices import HEAT, ColourMap
from activmask.saliency.explain import Explanation
from activmask.saliency.render import drawable, heat_over, outline

MOST_SHOWN = 64
"""Images on one sheet."""

_COLUMNS = 8
_CELL_INCHES, _WORDS_INCHES, _HEAD_INCHES = 1.7, 0.42, 0.75
_NAME_CHARACTERS, _CLASS_CHARACTERS = 26, 14


def chosen(count: int, most: int = MOST_SHOWN) -> list[int]:
    """Which of `count` images a sheet shows: evenly spaced, the first and the last among them."""
    return [round(place) for place in np.linspace(0, count - 1, min(count, most)).tolist()]


def draw_sheet(explanations: Sequence[Explanation], title: str, *, colours: ColourMap = HEAT) -> Figure:
    """Draw explanations, at least one, in rows; of more than `MOST_SHOWN` some, which the heading says.

    Args:
        explanations: of one network and method.
        title: what they are of.
        colours: of the maps.
    """
    shown = [explanations[k] for k in chosen(len(explanations))]
    columns = min(_COLUMNS, max(3, len(shown)))
    rows = -(-len(shown) // columns)
    height = rows * (_CELL_INCHES + _WORDS_INCHES) + _HEAD_INCHES
    figure = Figure(figsize=(columns * _CELL_INCHES, height), layout="constrained")
    figure.suptitle(
        f"{drawable(title, 14 * columns)}\n{_heading(explanations, len(shown))}",
        fontsize=9,
        parse_math=False,
    )
    for axes, explanation in zip_longest(figure.subplots(rows, columns, squeeze=False).flat, shown):
        axes.set_axis_off()
        if explanation is None:
            continue
        over = heat_over(explanation.image, explanation.attribution, colours)
        axes.imshow(over, interpolation="nearest")
        outline(axes, explanation.mask, width=0.8)
        axes.set_title(_words(explanation), fontsize=6.5, parse_math=False, pad=2)
    return figure


def _heading(explanations: Sequence[Explanation], shown: int) -> str:
    method = explanations[0].method
    count = len(explanations)
    which = (
        f"{count} images" if shown == count else f"{shown} of {count} images, evenly spaced in their order"
    )
    return f"{method}, each map scaled by itself; {which}"


def _words(explanation: Explanation) -> str:
    predicted, label = explanation.predicted, explanation.label
    said = f"{_class(explanation, predicted)} {explanation.probabilities[predicted]:.2f}"
    truth = "" if label is None or label == predicted else f", is {_class(explanation, label)}"
    share = explanation.share_inside
    inside = "" if share is None else f"\n{share:.0%} inside (chance {explanation.chance_inside:.0%})"
    return f"{drawable(explanation.image_name, _NAME_CHARACTERS)}\n{said}{truth}{inside}"


def _class(explanation: Explanation, number: int) -> str:
    return drawable(explanation.called(number), _CLASS_CHARACTERS)
