"""How a predictor behaves on sample images, as far as it must be told.

Shapes: B images, K classes or labels.
"""

import torch
from torch import Tensor

from activmask.ground.errors import CheckpointError
from activmask.predictors.predictor import Predictor

ENOUGH = 8
"""Different images of which a classifier that looks at them does not say the same."""

_FEW = 8
"""Images that are judged again: an answer that is drawn may be the same twice for one of them."""
_ROUNDING = 1e-3
"""Differences of logits below this, beside the largest, are those of another order of adding up."""


def behaviour_notes(predictor: Predictor, images: Tensor, logits: Tensor) -> list[str]:
    """Sentences on a predictor whose answers do not follow from each image alone.

    Args:
        predictor: any.
        images: (B, C, H, W) on the CPU, B at least 1.
        logits: (B, K), what it said of them, judged together.

    Raises:
        CheckpointError: it says the same of all images, of `ENOUGH` different ones at least.
    """
    name, notes = predictor.name, []
    room = _ROUNDING * float(logits.abs().max())
    alone = max(float((predictor.predict(images[:few]) - logits[:few]).abs().max()) for few in (1, _FEW))
    if alone > room:
        again = float((predictor.predict(images) - logits).abs().max())
        notes.append(
            f"{name} answers the same images otherwise a second time, by up to {again:.3g} in its logits; "
            "results are of one draw each."
            if again > room
            else f"{name} answers an image otherwise among few than among many, by up to {alone:.3g} in its "
            "logits; results depend on which images are judged together."
        )
    different = len(torch.unique(images.flatten(1), dim=0))
    if different > 1 and bool((logits == logits[0]).all()):
        said = f"{name} answers all {len(images)} sample images alike"
        advice = "check its weights, and that images are prepared as it was trained on them"
        if different >= ENOUGH:
            raise CheckpointError(said, found=", ".join(f"{one:.4g}" for one in logits[0, :5]), advice=advice)
        notes.append(f"{said}; {advice}.")
    return notes
