"""What a reader of a run's scores should know of the masks it was trained with."""

from pathlib import Path

import torch
from torch import Tensor

from activmask.data.dataset import read_dataset
from activmask.data.dilation import dilation_radius
from activmask.data.mask_shares import Presence
from activmask.data.masks import presence
from activmask.data.samples import Samples
from activmask.data.sources.presets import source_of
from activmask.data.view import scale_unknown
from activmask.objectives.chosen import needs
from activmask.runs.description import RunConfig
from activmask.runs.folder import RUN_FILE, read_presence


def mask_presence(
    path: Path, config: RunConfig, samples: Samples, data: Path, *, label: str | None = None
) -> tuple[Presence | None, list[str]]:
    """How well a mask's presence told the class of a checkpoint's run, and sentences on its masks.

    Args:
        path: of the checkpoint; beside it lies the description of its run, unless it was moved.
        config: of the run.
        samples: the images it is judged on, in place of those it was trained on if that is not known.
        data: the folder of the data set that they lie in.
        label: about which a network of several is asked: the description does not tell of it alone.

    Raises:
        CheckpointError: the description is damaged.
        DataError: the data set is.
    """
    if not needs(config.objectives).masks or config.view.mask == "circle":
        return None, []
    known = read_presence(path.parent) if (path.parent / RUN_FILE).is_file() else None
    found, where = (None if label else known), "training images"
    if found is None and config.view.masks_without == "whole" and len(samples.labels.unique()) > 1:
        found, where = presence(samples.labels, _stored_masks(samples, data)), "images judged here"
    notes = []
    if found is not None and found.tells:
        notes.append(
            f"Whether an image has a mask tells its class: AUC {found.auc:.2f} of the mask's presence alone "
            f"on the {where}, 0.50 by chance. Images without one stayed whole in training, so what this run "
            "scores may be due to that; masks_without borrowed is the control."
        )
    of_slices = source_of(config.preset)[1].native_slices or samples.native is not None
    if known is None and of_slices and dilation_radius(config.view.mask_blur) > 0:
        notes.append(
            "No record of the training masks lies beside the checkpoint; if an earlier version trained it, "
            "they were dilated by px of the stored image, more than the paper's."
        )
    return found, notes


def _stored_masks(samples: Samples, data: Path) -> Tensor:
    """Which images have a mask on disk, bool (N,), also where it is taken for missing in evaluation."""
    if not scale_unknown(samples):
        return samples.has_mask
    dataset = read_dataset(data)
    masked = {name for name, mask in zip(dataset.file_names, dataset.mask_file_names, strict=True) if mask}
    return torch.tensor([name in masked for name in samples.names])
