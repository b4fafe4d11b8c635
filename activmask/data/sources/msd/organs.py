"""The organs of the paper's section 5, each with what its preset and its slices need."""

from dataclasses import dataclass

CT_WINDOW = (-160.0, 240.0)
"""Soft tissue, in Hounsfield units."""

CROP_MARGIN = 1.1
"""110 px are stored for crops of 100 px."""


@dataclass(frozen=True, kw_only=True)
class Organ:
    """One task of the Medical Segmentation Decathlon."""

    words: tuple[str, ...]
    """By which a task's name is known for it, in lower case."""
    mask_blur: float
    """Sigma in px of the native slice by which training dilates masks."""
    lr: float
    """As in the authors' configuration."""
    window: tuple[float, float] | None
    """Values that become 0 and 1; None for each volume's 0.5 and 99.5 percentiles."""
    figure: str
    """The paper's, of where networks look."""


ORGANS = {
    "liver": Organ(words=("liver", "lits"), mask_blur=16.0, lr=1e-4, window=CT_WINDOW, figure="figure-4"),
    "cardiac": Organ(
        words=("heart", "atrium", "cardiac"), mask_blur=8.0, lr=4e-3, window=None, figure="figure-4"
    ),
    "pancreas": Organ(words=("pancreas",), mask_blur=16.0, lr=1e-4, window=CT_WINDOW, figure="figure-8"),
}
"""By the name of their preset."""
