"""Images that a network did best, worst or changed its mind about most, as PNG files of a page.

Shapes: H x W pixels of the network's size.
"""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from activmask.evaluation.answers import Pick
from activmask.saliency.choices import HEAT
from activmask.saliency.explain import Floats

_SIDE = 112
"""Of a picture, in px, at least: small images are shown in whole multiples, so that pixels stay squares."""

_OUTLINE = (86, 180, 233)
"""Sky blue of Okabe and Ito (2008), as masks are outlined everywhere."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image beside where the network looked in it."""

    src: str
    """A PNG file as a `data:` address."""
    width: int
    height: int
    """Of both panels together, in px."""
    title: str
    lines: tuple[str, ...]
    """What is said under it."""


def picture(
    pick: Pick, image: Floats, mask: NDArray[np.bool_] | None, class_names: tuple[str, ...]
) -> Picture:
    """An image with the outline of its mask, and the network's map of it.

    Args:
        pick: what the network made of it.
        image: (H, W) or (H, W, 3) in [0, 1].
        mask: (H, W); None where it has none.
        class_names: of all classes.
    """
    factor = max(1, -(-_SIDE // max(image.shape[:2])))
    height, width = (side * factor for side in image.shape[:2])
    grey = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    panels = [_enlarged((grey * 255).round().astype(np.uint8), factor), _map(pick, (width, height))]
    if mask is not None:
        border = _border(_enlarged(mask, factor))
        for panel in panels:
            panel[border] = _OUTLINE
    both = np.concatenate([panels[0], np.full((height, 4, 3), 128, np.uint8), panels[1]], axis=1)
    file = io.BytesIO()
    Image.fromarray(both).save(file, format="png")
    right = "right" if pick.given == pick.label else f"called {class_names[pick.given]}"
    shuffled = "" if pick.shuffled is None else f", {pick.shuffled:.2f} with the background shuffled"
    return Picture(
        src=f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}",
        width=both.shape[1],
        height=both.shape[0],
        title=f"{pick.why}: {pick.file}",
        lines=(
            f"{class_names[pick.label]}, {right}",
            f"probability of its class {pick.probability:.2f}{shuffled}",
        ),
    )


def _enlarged(pixels: NDArray[np.generic], factor: int) -> NDArray[np.generic]:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _map(pick: Pick, size: tuple[int, int]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(base64.b64decode(pick.map))) as grey:
        values = np.asarray(grey.resize(size, Image.Resampling.NEAREST))
    return np.asarray(mpl.colormaps[HEAT](values, bytes=True)[..., :3])


def _border(mask: NDArray[np.generic]) -> NDArray[np.bool_]:
    """The pixels just outside of a mask."""
    inside = mask.astype(bool)
    return np.asarray(binary_dilation(inside) & ~inside)
