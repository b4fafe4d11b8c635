"""Which training images a first run got wrong, so that a second one counts them more (JTT).

Liu et al. 2021 (arXiv 2107.09044), Algorithm 1: the first is trained for few epochs, then judged.

Shapes: N training images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from activmask.ground.errors import PATH, UsageError
from activmask.models.own_code import code_of, is_own_code
from activmask.objectives.chosen import shown_always
from activmask.objectives.group_losses import GroupWeights
from activmask.runs.checkpoint import Checkpoint, load_checkpoint
from activmask.runs.description import RunConfig
from activmask.runs.first_run import errors_file
from activmask.training.feed.origin import Origin
from activmask.training.feed.stream import AnySamples
from activmask.training.replicas.predictions import predict


@dataclass(frozen=True, kw_only=True)
class FirstErrors:
    """The two groups that a first run makes of the training images."""

    members: Tensor
    """int64 (N,), 1 where it was wrong, on the device."""
    weights: GroupWeights
    """How much each counts; 1 on average over all images."""
    note: str
    """A clause on how many they are."""


def first_errors(
    config: RunConfig,
    seed: int,
    seen: Mapping[str, AnySamples],
    origin: Origin,
    device: torch.device,
    place: Path | None = None,
) -> FirstErrors:
    """Judge the training images by the last epoch of the same seed of a first run.

    Args:
        config: of the second run.
        seed: of both.
        seen: splits as evaluation sees them.
        origin: tells the splits' digests.
        device: where to compute.
        place: where the first run lies, if not where the settings say.

    Raises:
        UsageError: the first run saw other images, or otherwise, or made no error.
        CheckpointError: its checkpoint is missing or damaged.
    """
    path, model = errors_file(config.robustness, seed, place), config.network.model
    first = load_checkpoint(path, code=[code_of(model)[0]] if is_own_code(model) else ())
    _check_same_images(first, config, seed, seen, origin)
    labels = seen["train"].labels
    wrong = predict(first.model.to(device), seen["train"].images).argmax(dim=1) != labels
    errors, times = int(wrong.sum()), config.robustness.upweight
    if errors == 0:
        raise UsageError(
            f"{PATH} is right about every training image, so there is no error to count more",
            path=path,
            advice="train it for fewer epochs",
        )
    return FirstErrors(
        members=wrong.long().to(device),
        weights=GroupWeights(weights=error_weights(errors, len(labels), times).to(device)),
        note=f"{errors} of {len(labels)} training images are errors of {path} and count {times:g} times",
    )


def error_weights(errors: int, count: int, times: float) -> Tensor:
    """The weights (2,) of right and wrong images, in the ratio 1 to `times`, 1 on average over all.

    So the mean loss is the one expected of images drawn from a data set that holds each error so many times.
    """
    total = count + (times - 1) * errors
    return torch.tensor([1.0, times]) * (count / total)


def _check_same_images(
    first: Checkpoint, config: RunConfig, seed: int, seen: Mapping[str, AnySamples], origin: Origin
) -> None:
    shape = tuple(seen["train"].images.shape[1:])
    ours = (seed, origin.digests["train"], shape, config.view.evaluate_view, shown_always(config.objectives))
    theirs = (
        first.seed,
        first.split_sha256.get("train"),
        (first.channels, first.image_size, first.image_size),
        first.config.view.evaluate_view,
        shown_always(first.config.objectives),
    )
    names = ("seed", "training split", "size of images", "evaluate_view", "masking in evaluation")
    other = [name for name, one, two in zip(names, ours, theirs, strict=True) if one != two]
    if other:
        raise UsageError(
            f"{PATH} is of a run that saw images otherwise than seed {seed} here (another {other[0]})",
            path=first.path,
            advice="take its errors from a run on the same data, split and seed",
        )
