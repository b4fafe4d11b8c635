"""Where a network in training looks, on a few validation images that stay the same.

Shapes: N images, C channels, H x W pixels.
"""

from copy import deepcopy
from pathlib import Path

import torch

from activmask.data.multi_label import is_multi_label
from activmask.runs.checkpoint import Checkpoint
from activmask.runs.folder import STATE_FILE
from activmask.runs.label_checkpoint import checkpoint_of_label
from activmask.saliency.explain import explain
from activmask.saliency.inputs import Inputs
from activmask.saliency.render import draw, png_bytes
from activmask.training.feed.stream import batches
from activmask.training.replicas.replica import Replica

MOST_PICTURES = 4


def saliency_pictures(replica: Replica) -> list[bytes]:
    """PNG files of what the network of the last epoch decides on validation images, and where it looks.

    The images are spread evenly over the split. A copy of the network computes, so training is untouched. Of
    several labels each is drawn, of fewer images.
    """
    valid = replica.splits["valid"]
    labels = replica.origin.class_names if is_multi_label(valid.labels) else ()
    most = max(1, MOST_PICTURES // len(labels)) if labels else MOST_PICTURES
    rows = torch.linspace(0, len(valid) - 1, min(most, len(valid))).round().long()
    images, masks, _ = next(iter(batches(valid, [rows], torch.device("cpu"))))
    checkpoint = Checkpoint(
        path=replica.folder / STATE_FILE,
        model=deepcopy(replica.judged),
        **vars(replica.description(replica.next_epoch - 1)),
    )
    shown = Inputs(
        paths=tuple(Path(f"validation image {row}") for row in rows.tolist()),
        images=images,
        masks=masks[:, 0].bool() if bool(valid.has_mask[rows].all()) else None,
    )
    asked = [checkpoint_of_label(checkpoint, label) for label in labels] or [checkpoint]
    return [png_bytes(draw(one)) for it in asked for one in explain(it, shown, device=replica.device)]
