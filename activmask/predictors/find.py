"""Find a classifier by what a user calls it: the one way into an audit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activmask.ground.errors import DataError, UsageError
from activmask.machine.device import choose_device
from activmask.predictors.asked import Asked, FoundPredictor
from activmask.predictors.checkpoints import of_checkpoint, of_path
from activmask.predictors.networks import of_network
from activmask.predictors.preprocessing import Preprocessing
from activmask.predictors.reading import Kind
from activmask.runs.checkpoint import Checkpoint

SAMPLE = 64
"""Images that a classifier is tried on, spread over those given."""


def find_predictor(
    what: str | Path | Checkpoint | nn.Module | Callable[..., Any],
    images: Tensor,
    *,
    class_names: Sequence[str] = (),
    weights: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    outputs: Kind | None = None,
    multi_label: bool = False,
    class_outputs: Sequence[int] | None = None,
    device: str = "cpu",
) -> FoundPredictor:
    """Find a classifier, try it on some of the images it is to judge, and say what was guessed.

    Args:
        what: a checkpoint of this package, as a file, a folder with one, or loaded; or any network of
            torch, in any mode and on any device.
        images: float32 (B, C, H, W) in [0, 1], B at least 1: those to be judged, or some of them. At most
            64 are shown to the classifier, spread over all.
        class_names: of the data's labels 0, 1, ...; left out, outputs are not compared with classes.
        weights: a safetensors file of weights, or `imagenet`, for a network that is named by its library.
        preprocessing: what is done to images in [0, 1] before the network sees them.
        outputs: `logits`, `probabilities` or `scores`; left out, this is seen from the outputs where that
            is sure, and said in a note.
        multi_label: whether outputs are labels that do not exclude each other.
        class_outputs: which outputs stand for the labels 0, 1, ...; left out, there has to be one for each.
            A single output stands for two classes.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UsageError: nothing is called so, or what is said contradicts itself or the classifier.
        CheckpointError: the classifier cannot be read, fails, or does not classify these images.
        DataError: the images are none that it takes.
    """
    asked = Asked(
        class_names=tuple(class_names),
        preprocessing=preprocessing or Preprocessing(),
        outputs=outputs,
        multi_label=multi_label,
        class_outputs=None if class_outputs is None else tuple(class_outputs),
    )
    sample, place = _sample(images), choose_device(device)
    if weights is not None:
        raise UsageError(
            "weights are for a network that is named by its library, such as torchvision:resnet18"
        )
    if isinstance(what, Checkpoint):
        return of_checkpoint(what, sample, asked, place)
    if isinstance(what, nn.Module):
        return of_network(what, sample, asked, name=type(what).__name__, device=place)
    if isinstance(what, str | Path):
        return of_path(Path(what), sample, asked, place)
    raise UsageError("this is no classifier", found=f"a {type(what).__name__}")


def _sample(images: Tensor) -> Tensor:
    """Some images, spread over all of them."""
    if images.ndim != 4 or not images.is_floating_point():
        raise DataError(
            "images to judge are not what they must be",
            expected="floating-point numbers (images, channels, height, width)",
            found=f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}",
        )
    if len(images) == 0:
        raise DataError("there are no images to judge; a classifier is tried on them first")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            "images to judge must lie in [0, 1]",
            found=f"{low:g} to {high:g}",
            advice="divide them by their largest possible value, and let preprocessing do the rest",
        )
    at = torch.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round().long()
    return images[at]
