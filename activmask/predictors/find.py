"""Find a classifier by what a user calls it: the one way into an audit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activmask.ground.errors import DataError, UsageError
from activmask.machine.device import choose_device
from activmask.models.user_code import network_of
from activmask.models.weights import PICKLED, load_weights
from activmask.predictors.asked import Asked, FoundPredictor
from activmask.predictors.checkpoints import of_checkpoint, own_checkpoint
from activmask.predictors.libraries import LIBRARIES, library_network, with_library_values
from activmask.predictors.networks import of_network
from activmask.predictors.onnx_files import of_onnx
from activmask.predictors.predictions_only import of_callable
from activmask.predictors.preprocessing import Preprocessing
from activmask.predictors.reading import Kind
from activmask.runs.checkpoint import Checkpoint
from activmask.runs.weights_file import read_weights

WAYS = (
    "a run's folder, a checkpoint, file.py:function, package.module:function, torchvision:NAME, timm:NAME or "
    "an .onnx file"
)
"""What a classifier can be called by."""

SAMPLE = 32
"""Images that a classifier is tried on, spread over those given."""


@torch.inference_mode(mode=False)
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
    code: Sequence[str | Path] = (),
) -> FoundPredictor:
    """Find a classifier, try it on some of the images it is to judge, and say what was guessed.

    Args:
        what: a checkpoint of this package, as a file, a folder with one, or loaded; `file.py:function` or
            `package.module:function` for a function without arguments that returns a network of torch,
            whose code runs; `torchvision:NAME` or `timm:NAME`; a file `.onnx`; any network of torch, in
            any mode and on any device; or a function from an array, or tensor, (B, C, H, W) to scores (B,)
            or (B, K).
        images: float32 (B, C, H, W) in [0, 1], B at least 1: those to be judged, or some of them. At most
            32 are shown to the classifier, spread over all.
        class_names: of the data's labels 0, 1, ...; left out, outputs are not compared with classes.
        weights: a safetensors file, for a network that is made by a library or a function, or `imagenet`
            for the library's own.
        preprocessing: what is done to images in [0, 1] before the network sees them. What is not said of
            a network of torchvision or timm is taken from its library, and told in a note.
        outputs: `logits`, `probabilities` or `scores`; left out, this is seen from the outputs where that
            is sure, and said in a note.
        multi_label: whether outputs are labels that do not exclude each other.
        class_outputs: which outputs stand for the labels 0, 1, ...; left out, there has to be one for each.
            A single output stands for two classes.
        device: `auto`, `cpu`, `cuda` or `mps`; networks of torch alone compute elsewhere than on the CPU.
        code: Python files that may run for a checkpoint of this package, as in `load_checkpoint`.

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
    if isinstance(what, str | Path):
        return _by_name(str(what), weights, sample, asked, place, code)
    if weights is not None:
        raise UsageError(
            "weights are for a network that is given by a name or a function; load them yourself"
        )
    if isinstance(what, Checkpoint):
        return of_checkpoint(what, sample, asked, place)
    if isinstance(what, nn.Module):
        return of_network(what, sample, asked, name=type(what).__name__, device=place)
    if callable(what) and not isinstance(what, type):
        return of_callable(what, sample, asked, name=_name(what))
    kind = f"the class {what.__name__}" if isinstance(what, type) else f"a {type(what).__name__}"
    advice = (
        "give a network of torch, or a function from an array (images, channels, height, width) to scores"
    )
    if hasattr(what, "predict_proba"):
        advice += ", such as lambda x: it.predict_proba(x.reshape(len(x), -1))"
    raise UsageError("this is no classifier of images", found=kind, advice=advice)


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "the function" if name == "<lambda>" else name


def _by_name(
    what: str,
    weights: str | Path | None,
    images: Tensor,
    asked: Asked,
    device: torch.device,
    code: Sequence[str | Path],
) -> FoundPredictor:
    before, colon, after = what.rpartition(":")
    library, _, network = what.partition(":")
    if library in LIBRARIES and colon:
        named = library_network(library, network, weights)
        how, told = with_library_values(asked.preprocessing, named.preprocessing)
        found = of_network(named.network, images, replace(asked, preprocessing=how), name=what, device=device)
        return replace(found, notes=(*named.notes, *told, *found.notes))
    if colon and after.isidentifier() and not Path(what).exists():
        made = network_of(before, after)
        if weights is None:
            # A network that nobody gave its weights looks like any other that has learned nothing.
            told = [
                f"no weights were given: it is judged as {what} makes it, untrained unless that loads some"
            ]
        else:
            told = load_weights(made, read_weights(Path(weights)), Path(weights), what)
        found = of_network(made, images, asked, name=what, device=device)
        return replace(found, notes=(*told, *found.notes))
    if weights is not None:
        raise UsageError(
            f"weights have no effect on {what}; they are for a library's network or a function's"
        )
    path = Path(what)
    if path.suffix.lower() == ".onnx":
        return of_onnx(path, images, asked)
    if path.suffix == ".py":
        raise UsageError(f"{what} is a file of code", advice=f"name its function: {what}:FUNCTION")
    if not path.exists() and path.suffix.lower() not in PICKLED:
        raise UsageError(f"there is no classifier '{what}'", advice=f"give {WAYS}")
    return of_checkpoint(own_checkpoint(path, code), images, asked, device)


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
    return images[at].detach().float().cpu()
