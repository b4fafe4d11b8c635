"""What an audit asks of a classifier, whoever made it.

Shapes: B images, C channels, H x W pixels, K classes or labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from activmask.predictors.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A classifier of images as the audit holds them; how it wants them is its own affair."""

    name: str
    """What it is called in tables and pages: foreign text, never markup."""
    outputs: int
    """K: classes, at least two, that exclude each other; or labels, at least one, that do not."""
    predict: Callable[[Tensor], Tensor]
    """Maps images, float32 (B, C, H, W) in [0, 1], of which no two rows need the same pass, to finite
    logits, float32 (B, K) on the CPU, without gradients; memory is bounded within. A softmax of them
    gives the probabilities of classes, a sigmoid those of labels. A network of one output for two
    classes gives (-z/2, z/2), by the probabilities the same as (0, z), so that class 0 has a gradient."""
    multi_label: bool = False
    """Whether the outputs are labels, each true or not, instead of classes."""
    probabilities: bool = True
    """Whether softmax or sigmoid of the logits means a probability; not so where only a score was given,
    which ranks images and has no calibration."""
    preprocessing: Preprocessing | None = None
    """What is done to images before it sees them; None of a checkpoint of this package, which prepares its
    images as its run did."""
    module: nn.Module | None = None
    """The same function for gradients: in evaluation mode, called with images as above and
    `reconstruct=False`, it returns a `ModelOutput`. None where only predictions can be had."""
