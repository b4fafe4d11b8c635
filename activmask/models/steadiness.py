"""Whether a network answers each image by itself, alike each time, and from nothing but what is saved.

Shapes: B images, C channels, H x W pixels.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError
from activmask.models.foreign_code import failures_told, sides_in_words
from activmask.models.returned import scores_in

_APART = 1e-3
"""Of the largest score, by how much rounding moves scores at most where a batch has another size."""


def refuse_unsteady(name: str, network: nn.Module, images: Tensor) -> None:
    """Refuse a network whose scores could not be repeated, or would be others once it was saved and read.

    Args:
        name: whose code it is.
        network: is left as it is, as torch's global generator is.
        images: (B, C, H, W) that it takes, B at least 3.

    Raises:
        UsageError: says what it does.
        CheckpointError: the code fails.
    """
    with torch.random.fork_rng(devices=[]), failures_told(name, f"on {sides_in_words(images)}"):
        trained, read = (deepcopy(network) for _ in range(2))
        learned = scores_in(trained.train()(images.clone()), len(images))
        read.load_state_dict(trained.state_dict())
        if not torch.isfinite(learned).all():
            raise UsageError(f"{name} returns scores that are not finite before it has learned anything")
        if not learned.requires_grad:
            raise UsageError(
                f"the outputs of {name} have no gradients, so nothing could be learned",
                advice="leave out what cuts them off, as torch.no_grad, detach and NumPy do",
            )
        with torch.no_grad():
            # Of two, as batch normalisation by the batch alone takes no single one.
            some, first, again = (
                scores_in(trained.eval()(shown.clone()), len(shown)) for shown in (images[:2], images, images)
            )
            reread = scores_in(read.eval()(images.clone()), len(images))
    if not _alike(first, again):
        raise UsageError(
            f"{name} answers the same images otherwise when it is asked again in evaluation, so that no "
            "score of it could be repeated",
            advice="have what draws at random or counts look at self.training: F.dropout does not by itself",
        )
    if not _alike(first[:2], some):
        raise UsageError(
            f"{name} answers an image otherwise beside other images in evaluation, so that its scores would "
            "depend on the batch",
            advice="use running statistics in evaluation, and nothing else of the batch",
        )
    if not _alike(first, reread):
        raise UsageError(
            f"{name} remembers more of its training than is saved, so that a checkpoint would answer "
            "otherwise",
            advice="keep it in parameters or in buffers that are persistent",
        )


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _APART * one.abs().max())
