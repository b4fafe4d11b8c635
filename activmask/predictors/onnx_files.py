"""ONNX files through onnxruntime: predictions alone.

Shapes: B images, C channels, H x W pixels, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activmask.ground.errors import PATH, CheckpointError, UsageError
from activmask.models.foreign_code import counted, failures_told
from activmask.predictors.asked import Asked, FoundPredictor
from activmask.predictors.predictions_only import of_function
from activmask.predictors.preprocessing import Preprocessing

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class _Input:
    """What the file says of the images that it takes; None of what is free."""

    name: str
    dtype: Any
    channels_last: bool
    batch: int | None
    channels: int | None
    sides: tuple[int, int] | None


def of_onnx(path: Path, images: Tensor, asked: Asked) -> FoundPredictor:
    """The predictor of an ONNX file with one input of images and one output of scores.

    Images are resized to a fixed size, repeated or averaged to a fixed number of channels, and passed
    in batches of a fixed size, as far as the file fixes them and nobody says otherwise.

    Args:
        path: the file.
        images: float (B, C, H, W) in [0, 1], on the CPU.
        asked: what is said of it.

    Raises:
        CheckpointError: it is missing, cannot be read, or is no classifier of images.
        UsageError: onnxruntime is not installed, or what was said does not fit it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("onnxruntime is not installed", advice="install activmask[onnx]") from error
    if not path.is_file():
        raise CheckpointError(f"there is no file {PATH}", path=path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 4  # What is wrong is raised, and need not be printed first.
    with failures_told(str(path), "to be read by onnxruntime"):
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    taken, output = _input(path, session.get_inputs()), _output(path, session.get_outputs())
    how, notes = _fixed(taken, asked.preprocessing, images.shape[1])

    def run(part: Tensor) -> np.ndarray:
        arrays = part.movedim(1, 3) if taken.channels_last else part
        given = np.ascontiguousarray(arrays.numpy(), dtype=taken.dtype)
        count = len(given)
        if taken.batch is not None and count < taken.batch:
            given = np.concatenate([given, np.repeat(given[-1:], taken.batch - count, axis=0)])
        (scores,) = session.run([output], {taken.name: given})
        return np.asarray(scores)[:count]

    found = of_function(
        run,
        images,
        replace(asked, preprocessing=how),
        name=str(path),
        of_network=True,
        at_once=taken.batch,
    )
    return replace(found, notes=(*notes, *found.notes))


def _input(path: Path, inputs: list[Any]) -> _Input:
    images = [one for one in inputs if len(one.shape) == 4 and one.type in _FLOATS]
    if len(inputs) != 1 or not images:
        raise CheckpointError(
            f"{PATH} is no classifier of images",
            path=path,
            expected="one input of floating-point numbers (images, channels, height, width)",
            found=", ".join(f"{one.name}: {one.type} {tuple(one.shape)}" for one in inputs) or "none",
        )
    (one,) = images
    shape = [side if isinstance(side, int) and side > 0 else None for side in one.shape]
    last = shape[3] in _CHANNELS and shape[1] not in _CHANNELS
    batch, channels, height, width = (shape[0], shape[3], *shape[1:3]) if last else shape
    return _Input(
        name=one.name,
        dtype=_FLOATS[one.type],
        channels_last=last,
        batch=batch,
        channels=channels,
        sides=None if height is None or width is None else (height, width),
    )


def _output(path: Path, outputs: list[Any]) -> str:
    scores = [one for one in outputs if one.type in _FLOATS]
    if len(scores) != 1:
        raise CheckpointError(
            f"{PATH} has no one output that could be the scores",
            path=path,
            expected="one output of floating-point numbers (images, classes)",
            found=", ".join(f"{one.name}: {one.type} {tuple(one.shape or ())}" for one in outputs),
            advice="export it with the scores alone",
        )
    return str(scores[0].name)


def _fixed(taken: _Input, how: Preprocessing, given: int) -> tuple[Preprocessing, list[str]]:
    """A preprocessing that makes what the file fixes, as far as nobody says."""
    notes = []
    if taken.channels_last:
        notes.append("The file takes images with channels last.")
    if how.function is not None:
        return how, notes
    if how.channels is None and taken.channels not in {None, given}:
        how = replace(how, channels=taken.channels)
        notes.append(f"Images of {counted(given)} become the {taken.channels} that the file takes.")
    if how.size is None and taken.sides is not None:
        how = replace(how, size=taken.sides)
        notes.append(f"Images are resized to the {taken.sides[1]} x {taken.sides[0]} px that the file takes.")
    return how, notes
