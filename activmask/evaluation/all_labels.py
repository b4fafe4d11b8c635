"""What checkpoints say of several labels together: the mean AUC, and where each label is called true.

Shapes: N images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from activmask.data.samples import Samples
from activmask.evaluation.label_points import LabelPoint, label_point
from activmask.evaluation.other_data import split_for
from activmask.evaluation.scores import check_finite
from activmask.ground.errors import CheckpointError, DataError
from activmask.runs.checkpoint import Checkpoint, load_checkpoint
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import of_checkpoint, own_split_as_seen
from activmask.training.replicas.mean_auc import LabelScores, MeanAuc, label_scores_of, mean_auc
from activmask.training.replicas.predictions import predict


@dataclass(frozen=True, kw_only=True)
class AllLabels:
    """One checkpoint on one set of images."""

    images: int
    """N, whatever is known of them."""
    mean: MeanAuc | None
    """Over the labels that are asked about; None where none has an AUC."""
    points: tuple[LabelPoint, ...]
    """One for each of them; empty without validation images to choose on."""
    unchosen: str
    """A sentence on why there are no points; empty where there are."""


def all_labels(
    paths: Sequence[Path],
    labels: Sequence[str] | None = None,
    *,
    data: str | None = None,
    split: str = "test",
    accept_recipe: bool = False,
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
) -> dict[Path, AllLabels | CheckpointError | DataError]:
    """What each checkpoint says of its labels together, or why that cannot be told.

    A run whose own data are gone can be judged on others, but has no validation images to choose on.

    Args:
        paths: of checkpoints of networks of several labels.
        labels: that are asked about, by name; None for all that a network tells.
        data: as in `split_for`.
        split: likewise.
        accept_recipe: likewise.
        device: where to compute.
        code: Python files that may run, as in `load_checkpoint`.
    """
    judged, valid = Reading(), Reading()
    found: dict[Path, AllLabels | CheckpointError | DataError] = {}
    for path in paths:
        try:
            checkpoint = load_checkpoint(path, code=code, multi_label=True)
            stored, _ = split_for(checkpoint, data, split, accept_recipe=accept_recipe, reading=judged)
            config, seed = checkpoint.config, checkpoint.seed
            samples = split_as_judged(stored, config.view, config.objectives, seed=seed, split=split)
            found[path] = _all_labels(checkpoint, samples, labels, device, valid)
        except (CheckpointError, DataError) as error:
            found[path] = error
    return found


def _all_labels(
    checkpoint: Checkpoint,
    samples: Samples,
    labels: Sequence[str] | None,
    device: torch.device | str,
    reading: Reading,
) -> AllLabels:
    said = _said(checkpoint, samples, labels, device)
    points: tuple[LabelPoint, ...] = ()
    unchosen = ""
    try:
        valid, _ = own_split_as_seen(of_checkpoint(checkpoint), "valid", reading)
        chosen_on = _said(checkpoint, valid, labels, device)
        points = tuple(map(label_point, chosen_on, said))
    except DataError as error:
        unchosen = f"no threshold is chosen for {checkpoint.path}: {error}"
    return AllLabels(
        images=len(samples), mean=mean_auc(said, seed=checkpoint.seed), points=points, unchosen=unchosen
    )


def _said(
    checkpoint: Checkpoint, samples: Samples, labels: Sequence[str] | None, device: torch.device | str
) -> list[LabelScores]:
    logits = predict(checkpoint.model.to(device).eval(), samples.images)
    check_finite(logits)
    found = label_scores_of(logits, samples.labels, samples.subjects, checkpoint.class_names)
    return [one for one in found if labels is None or one.label in labels]
