"""Images through a classifier in passes of bounded memory.

Shapes: N images, C channels, H x W pixels, K classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from activmask.ground.errors import CheckpointError

CPU_PIXELS = 2**18
"""Of a pass without gradients."""
PIXELS = 2**22
"""Of a pass without gradients on a GPU, where a large network would wait for small ones."""
_NAMED = 5


def images_at_once(sides: tuple[int, int], device: torch.device) -> int:
    """How many images of so many px, as the network sees them, take one pass without gradients."""
    return max(1, (CPU_PIXELS if device.type == "cpu" else PIXELS) // (sides[0] * sides[1]))


def in_passes(name: str, function: Callable[[Tensor], Tensor], images: Tensor, at_once: int) -> Tensor:
    """Finite logits, float32 (N, K) on the CPU, of images (N, C, H, W), N at least 1.

    Args:
        name: of the classifier, for the error.
        function: logits of some of the images.
        images: on any device.
        at_once: images in a pass.

    Raises:
        CheckpointError: logits are NaN or infinite; names their images, counted from 0.
    """
    with torch.no_grad():
        logits = torch.cat([function(part).float().cpu() for part in images.split(at_once)])
    wrong = torch.nonzero(~logits.isfinite().all(dim=1)).flatten().tolist()
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise CheckpointError(
            f"{name} answers NaN or infinity for {len(wrong)} of {len(images)} images (number "
            f"{', '.join(map(str, wrong[:_NAMED]))}{more}, counted from 0)",
            advice="check its weights, and that images are prepared as it was trained on them",
        )
    return logits
