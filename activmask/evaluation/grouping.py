"""The groups of the images that a checkpoint is judged on, and its accuracy in each.

Shapes: N images, K classes.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from activmask.data.groups import SHORTCUT, Groups, group_values, grouped
from activmask.data.samples import Samples
from activmask.data.settings import ARRAYS, IN_MEMORY
from activmask.evaluation.predictions_table import Predictions
from activmask.ground.errors import DataError
from activmask.runs.checkpoint import Checkpoint
from activmask.training.feed.origin import refuse_groups
from activmask.training.feed.reading import Reading
from activmask.training.feed.trained_data import of_checkpoint, own_place
from activmask.training.replicas.group_accuracy import ByGroup, by_group


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How some images are grouped."""

    groups: Groups | None = None
    """None where they are not."""
    notes: tuple[str, ...] = ()
    """Why they are not, where the run's own images are."""


def groups_for(
    checkpoint: Checkpoint,
    data: str | None,
    stored: Samples,
    *,
    asked: str,
    planted: bool,
    reading: Reading,
) -> Grouping:
    """The groups of the images that a checkpoint is judged on.

    Args:
        checkpoint: the network and its run.
        data: the data set's folder, or `synthetic`; None for the run's own.
        stored: N images of it, by their names, in the network's numbering of classes.
        asked: by which column; empty is what the run said, else the planted shortcut.
        planted: whether the data set's card tells of one.
        reading: what was read for others.

    Raises:
        DataError: the data set has no column that was asked for.
    """
    by = asked or checkpoint.config.robustness.groups or (SHORTCUT if planted else "")
    if not by:
        return Grouping()
    try:
        return Grouping(groups=_groups(checkpoint, data, stored, by, reading))
    except DataError as error:
        if asked or data is None:
            raise
        # The run asks for it of its own images; others need not have it.
        return Grouping(notes=(f"No group is scored: {error}.",))


def _groups(checkpoint: Checkpoint, data: str | None, stored: Samples, by: str, reading: Reading) -> Groups:
    place = checkpoint.config.source.data if data is None else data
    if place in {IN_MEMORY, ARRAYS}:
        refuse_groups(by, place)
    root = own_place(of_checkpoint(checkpoint)) if data is None else Path(data)
    dataset = reading.table(root)
    known = dict(zip(dataset.file_names, group_values(dataset, by), strict=True))
    return grouped(by, stored.labels.numpy(), [known[name] for name in stored.names])


def scores_by_group(logits: Tensor, samples: Samples, groups: Groups, *, seed: int) -> ByGroup:
    """The accuracy of each group.

    Args:
        logits: (N, K).
        samples: the N images.
        groups: of them.
        seed: of what is dealt out by chance.
    """
    labels = samples.labels.numpy()
    return by_group(logits.argmax(dim=1).numpy() == labels, labels, groups, samples.subjects, seed=seed)


def with_groups(predictions: Predictions, grouping: Grouping) -> Predictions:
    """The same predictions, each image with the value of the column by which it is grouped."""
    groups = grouping.groups
    if groups is None:
        return predictions
    values = ["" if k < 0 else groups.values[k] for k in groups.members.tolist()]
    by_file = dict(zip(predictions.names, values, strict=True))
    return replace(predictions, grouped_by=groups.by, groups=by_file)
