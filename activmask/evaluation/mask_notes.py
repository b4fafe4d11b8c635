"""What a reader of a run's scores should know of the masks it was trained with."""

from pathlib import Path

from activmask.config import RunConfig, uses_masks
from activmask.data.mask_shares import Presence
from activmask.data.masks import presence
from activmask.data.samples import Samples
from activmask.training.run_folder import MSD_PRESETS, RUN_FILE, read_presence


def mask_presence(path: Path, config: RunConfig, samples: Samples) -> tuple[Presence | None, list[str]]:
    """How well a mask's presence told the class of a checkpoint's run, and sentences on its masks.

    Args:
        path: of the checkpoint; beside it lies the description of its run, unless it was moved.
        config: of the run.
        samples: the images it is judged on, in place of those it was trained on if that is not known.

    Raises:
        CheckpointError: the description is damaged.
    """
    if not uses_masks(config) or config.mask == "circle":
        return None, []
    recorded = read_presence(path.parent) if (path.parent / RUN_FILE).is_file() else None
    found, where = recorded, "training images"
    if found is None and config.masks_without == "whole" and len(samples.labels.unique()) > 1:
        found, where = presence(samples.labels, samples.has_mask), "images judged here"
    notes = []
    if found is not None and found.tells:
        notes.append(
            f"Whether an image has a mask tells its class: AUC {found.auc:.2f} of the mask's presence alone "
            f"on the {where}, 0.50 by chance. Images without one stayed whole in training, so what this run "
            "scores may be due to that; masks_without borrowed is the control."
        )
    if recorded is None and config.preset in MSD_PRESETS:
        notes.append(
            "No record of the training masks lies beside the checkpoint; if an earlier version trained it, "
            "they were dilated by px of the stored image, more than the paper's."
        )
    return found, notes
