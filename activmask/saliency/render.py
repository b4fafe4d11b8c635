"""The picture of one explanation: what the network saw, where it looked, and what it said.

Pixels are drawn as squares, never blurred, so that a 28 px image stays what it is. The colours
are told apart with any colour vision: magma for the heat map, and sky blue and orange of Okabe &
Ito (2008) for the mask's outline and the highest attributions.
"""

import io

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from numpy.typing import NDArray

from activmask.data.files.images import LUMA
from activmask.ground.shown import shown
from activmask.saliency.choices import HEAT, ColourMap
from activmask.saliency.explain import Explanation, Floats
from activmask.saliency.maps import TOP_SHARE, top_pixels

_MASK_COLOUR, _TOP_COLOUR = "#56B4E9", "#E69F00"
_PANEL_INCHES, _DPI = 3.0, 150
_TITLE_CHARACTERS = 60
_CLASS_CHARACTERS = 24
_CLASSES_IN_TITLE = 5
_IMAGE_BELOW, _MOST_HEAT = 0.7, 0.8
"""How bright the image is where the map lies over it, and how much of a pixel the highest value covers."""


def blend(image: Floats, marked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """An image (H, W) or (H, W, 3) in [0, 1] with its marked pixels in orange, (H, W, 3) in [0, 1].

    Only grey lies under the marks, so that the colours of a photograph are not taken for them.
    """
    grey = image if image.ndim == 2 else image @ LUMA
    faint = np.repeat(0.15 + 0.7 * grey[..., None], 3, axis=2)
    return np.asarray(np.where(marked[..., None], 0.2 * faint + 0.8 * np.array(to_rgb(_TOP_COLOUR)), faint))


def heat_over(image: Floats, attribution: Floats, colours: ColourMap = HEAT) -> NDArray[np.float64]:
    """A heat map blended over its image, (H, W, 3) in [0, 1]: the higher the value, the less of the image.

    The image is dimmed, so that heat is seen on white too, and grey, so that its colours are not taken for
    heat.

    Args:
        image: (H, W), or (H, W, 3) in colour, in [0, 1].
        attribution: (H, W), at least 0.
        colours: of the map.
    """
    grey = image if image.ndim == 2 else image @ LUMA
    below = np.repeat(grey[..., None], 3, axis=2)
    level = np.clip(attribution / scale_of(attribution), 0, 1)
    share = _MOST_HEAT * level[..., None]
    return np.asarray((1 - share) * _IMAGE_BELOW * below + share * mpl.colormaps[colours](level)[..., :3])


def draw(explanation: Explanation, *, top: float = TOP_SHARE, colours: ColourMap = HEAT) -> Figure:
    """Draw input, map, map over image, the `top` share of pixels, and the reconstruction if any."""
    panels = 4 + (explanation.reconstruction is not None)
    figure = Figure(figsize=(_PANEL_INCHES * panels + 0.6, _PANEL_INCHES + 1.1), layout="constrained")
    axes = figure.subplots(1, panels)
    figure.suptitle(_title(explanation), parse_math=False, fontsize=11)
    _draw_input(axes[0], explanation)
    _draw_heat(figure, axes[1], explanation, colours)
    _draw_over(axes[2], explanation, colours)
    _draw_overlay(axes[3], explanation, top)
    if explanation.reconstruction is not None:
        _show(axes[4], explanation.reconstruction)
        axes[4].set_title("reconstruction", fontsize=10)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file, with at least one dot per pixel of the images in it."""
    side = max(max(image.get_size()) for image in figure.axes[0].get_images())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=max(_DPI, round(1.2 * side / _PANEL_INCHES)))
    return buffer.getvalue()


def _title(explanation: Explanation) -> str:
    probabilities = explanation.probabilities
    ranked = np.argsort(-probabilities, kind="stable")[:_CLASSES_IN_TITLE]
    scores = ", ".join(f"{_called(explanation, int(k))}: {probabilities[k]:.2f}" for k in ranked)
    more = ", ..." if len(probabilities) > len(ranked) else ""
    truth = "" if explanation.label is None else f" (it is {_called(explanation, explanation.label)})"
    return f"{drawable(explanation.image_name, _TITLE_CHARACTERS)}\n{scores}{more}{truth}"


def _called(explanation: Explanation, number: int) -> str:
    return drawable(explanation.called(number), _CLASS_CHARACTERS)


def drawable(text: str, most: int) -> str:
    """A text as a picture can hold it: seen, of the font's characters, and shortened in its middle.

    Args:
        text: any, such as a file's name.
        most: characters of it.
    """
    return _drawable(_shortened(shown(text), most))


def _shortened(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    half = most // 2
    return f"{name[:half]}...{name[-half:]}"


def _drawable(text: str) -> str:
    """The text with a question mark for each character that the font does not have."""
    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(letter if ord(letter) in known else "?" for letter in text)


def _draw_input(axes: Axes, explanation: Explanation) -> None:
    _show(axes, explanation.image)
    outline(axes, explanation.mask)
    axes.set_title("input" if explanation.mask is None else "input, mask as in training", fontsize=10)


def _draw_heat(figure: Figure, axes: Axes, explanation: Explanation, colours: ColourMap) -> None:
    scale = scale_of(explanation.attribution)
    picture = axes.imshow(
        explanation.attribution / scale, cmap=colours, vmin=0, vmax=1, interpolation="nearest"
    )
    outline(axes, explanation.mask)
    _clear(axes)
    bar = figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.02, ticks=[0, 0.5, 1], extend="max")
    bar.ax.tick_params(labelsize=8)
    bar.set_label(f"attribution / {scale:.2g}", fontsize=8)
    layer = "" if explanation.layer is None else f" at {explanation.layer}"
    evidence = f'{explanation.evidence} "{_called(explanation, explanation.target)}"'
    axes.set_title(f"{evidence}\n{explanation.method}{layer}", fontsize=10, parse_math=False)
    share, chance = explanation.share_inside, explanation.chance_inside
    if share is not None and chance is not None:
        axes.set_xlabel(f"{share:.0%} inside the mask, by chance {chance:.0%}", fontsize=9)


def _draw_over(axes: Axes, explanation: Explanation, colours: ColourMap) -> None:
    over = heat_over(explanation.image, explanation.attribution, colours)
    axes.imshow(over, interpolation="nearest")
    outline(axes, explanation.mask)
    _clear(axes)
    axes.set_title("map over image", fontsize=10)


def _draw_overlay(axes: Axes, explanation: Explanation, top: float) -> None:
    marked = top_pixels(explanation.attribution, top)
    axes.imshow(blend(explanation.image, marked), interpolation="nearest")
    outline(axes, explanation.mask)
    _clear(axes)
    axes.set_title(f"highest {100 * top:g} % of pixels", fontsize=10)


def scale_of(attribution: Floats) -> float:
    """The value drawn as 1: the 99.5th percentile, so that a single pixel does not darken the rest."""
    high, highest = float(np.quantile(attribution, 0.995)), float(attribution.max())
    return high or highest or 1.0


def _show(axes: Axes, image: Floats) -> None:
    # The colours and limits are of grey images; matplotlib draws those in colour as they are.
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _clear(axes)


def _clear(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def outline(axes: Axes, mask: NDArray[np.bool_] | None, width: float = 1.4) -> None:
    """Draw the mask's border along the edges of its pixels, as wide as so many points."""
    if mask is None:
        return
    axes.add_collection(border_lines(mask_border(mask), width))


def border_lines(edges: NDArray[np.float64], width: float) -> LineCollection:
    """Edges (n, 2, 2) as borders of masks are drawn, as wide as so many points."""
    return LineCollection([*edges], colors=_MASK_COLOUR, linewidths=width, capstyle="projecting")


def mask_border(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The edges of pixels that part a mask (H, W) from what is not: (n, 2, 2), both ends of each, x and y.

    Whole numbers are the middles of pixels.
    """
    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    across = _edges(columns, rows, (1, 0))
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    return np.concatenate([across, _edges(columns, rows, (0, 1))])


def _edges(x: NDArray[np.int64], y: NDArray[np.int64], way: tuple[int, int]) -> NDArray[np.float64]:
    starts = np.stack([x, y], axis=1) - 0.5
    return np.stack([starts, starts + way], axis=1)
