"""Classifiers that are asked for predictions alone: functions of arrays, and files of other runtimes.

Shapes: B images, C channels, H x W pixels, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activmask.ground.errors import CheckpointError
from activmask.models.foreign_code import failures_told, sides_in_words
from activmask.models.returned import scores_in
from activmask.predictors.asked import Asked, FoundPredictor, read_as
from activmask.predictors.checks import behaviour_notes
from activmask.predictors.passes import images_at_once, in_passes
from activmask.predictors.predictor import Predictor
from activmask.predictors.preprocessing import prepared_by


def of_function(
    function: Callable[[Tensor], Any],
    images: Tensor,
    asked: Asked,
    *,
    name: str,
    of_network: bool,
    at_once: int | None = None,
) -> FoundPredictor:
    """A predictor of a function from prepared images to scores.

    Args:
        function: of a tensor (B, C, H, W) on the CPU that is its own, to a tensor or array (B,) or (B, K).
        images: float (B, C, H, W) in [0, 1], on the CPU.
        asked: what is said of it.
        name: what it is called.
        of_network: whether numbers outside [0, 1] are surely logits; they are scores otherwise.
        at_once: images that it takes in one pass; None for as many as memory should bear.

    Raises:
        CheckpointError: it fails, or does not classify these images.
        UsageError: what was said does not fit it.
    """
    prepare, first = prepared_by(asked.preprocessing, images[:1], name)
    many = at_once or images_at_once((first.shape[2], first.shape[3]), torch.device("cpu"))

    def raw(part: Tensor) -> Tensor:
        with failures_told(name, f"on {sides_in_words(part)}"):
            return scores_in(as_tensor(function(prepare(part).clone())), len(part))

    scores = in_passes(name, raw, images, many)
    reading, notes = read_as(name, scores, asked, of_network=of_network)

    def predict(images: Tensor) -> Tensor:
        return in_passes(name, lambda part: reading.logits(raw(part.cpu()), len(part)), images, many)

    # Not made of `scores`, which are rounded to float32: a probability of 0 has other log odds there.
    logits = predict(images)
    predictor = Predictor(
        name=name,
        outputs=logits.shape[1],
        predict=predict,
        multi_label=asked.multi_label,
        probabilities=reading.kind != "scores",
        preprocessing=asked.preprocessing,
    )
    return FoundPredictor(predictor=predictor, notes=(*notes, *behaviour_notes(predictor, images, logits)))


def of_callable(function: Callable[[Any], Any], images: Tensor, asked: Asked, *, name: str) -> FoundPredictor:
    """A predictor of a function from an array (B, C, H, W), or a tensor where it takes no array.

    Raises:
        CheckpointError: it takes neither, or does not classify these images.
        UsageError: what was said does not fit it.
    """

    def of_array(part: Tensor) -> Any:
        return function(part.numpy())

    _, prepared = prepared_by(asked.preprocessing, images[:1], name)
    try:
        of_array(prepared.clone())
    except Exception:  # noqa: BLE001 - others' code raises anything; what a tensor gives is told
        return of_function(function, images, asked, name=name, of_network=False)
    return of_function(of_array, images, asked, name=name, of_network=False)


def as_tensor(returned: Any) -> object:
    """What a function returned, arrays and lists of numbers as tensors.

    Raises:
        CheckpointError: an array of what are no numbers.
    """
    if not isinstance(returned, np.ndarray | np.generic | list):
        return returned
    try:
        array = np.asarray(returned)
    except ValueError as error:
        raise CheckpointError(
            "the outputs are rows of different lengths", advice="return one array"
        ) from error
    if array.dtype.kind not in "fiub":
        raise CheckpointError(
            "the outputs are no numbers",
            expected="an array of floating-point numbers (images,) or (images, classes)",
            found=f"an array of {'objects' if array.dtype.kind == 'O' else array.dtype}",
        )
    return torch.from_numpy(np.array(array))
