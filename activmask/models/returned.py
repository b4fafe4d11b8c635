"""The scores among what a classifier returned, whoever made it.

Shapes: B images, K classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from activmask.ground.errors import CheckpointError

_SUM = 1e-3
"""By how much the probabilities of an image may miss 1, as those of half precision do."""
_KEYS_SHOWN = 5


def scores_in(returned: object, images: int) -> Tensor:
    """The scores (B, K), floats, among what a classifier returned for B images.

    Taken are a tensor (B,), (B, K) or (B, K, 1, 1), the entry or attribute `logits`, as Hugging Face's
    and inception's outputs have it, and the only entry of a dictionary, tuple or list. Of one image the
    batch may be left out, as squeezing does.

    Args:
        returned: by the classifier.
        images: B.

    Raises:
        CheckpointError: there are none, not one row an image, or more than one thing that could be.
    """
    found = _scores_or_more(returned)
    if not isinstance(found, Tensor):
        raise CheckpointError(
            "the network's output is not understood",
            expected="a tensor of scores, or one called logits",
            found=_in_words(found),
            advice="wrap it in a module that returns the scores alone",
        )
    if not found.is_floating_point():
        raise CheckpointError(
            "the network's outputs are no scores",
            expected="floating-point numbers",
            found=str(found.dtype).removeprefix("torch.")
            + ", as class numbers are" * (not found.is_complex()),
            advice="return the scores that these were made of",
        )
    if images == 1 and found.ndim < 2:
        return found.reshape(1, -1)
    if found.ndim > 0 and len(found) == images and found.numel() and found.shape[2:].numel() == 1:
        return found.reshape(images, -1)
    raise CheckpointError(
        "the network's output has the wrong shape",
        expected=f"({images},) or ({images}, classes) for {images} images",
        found=tuple(found.shape),
        advice="give a classifier of whole images, which answers each of them",
    )


def _scores_or_more(returned: object) -> object:
    if isinstance(returned, Tensor):
        return returned
    if isinstance(returned, Mapping) and "logits" in returned:
        return returned["logits"]
    if isinstance(logits := getattr(returned, "logits", None), Tensor):
        return logits
    if isinstance(returned, Mapping | tuple | list) and len(returned) == 1:
        (only,) = returned.values() if isinstance(returned, Mapping) else returned
        return _scores_or_more(only)
    return returned


def _in_words(found: object) -> str:
    if isinstance(found, Mapping):
        return f"a dictionary of {', '.join(map(str, list(found)[:_KEYS_SHOWN]))}"
    if isinstance(found, tuple | list):
        return f"a {type(found).__name__} of {len(found)}"
    return "nothing" if found is None else f"a {type(found).__name__}"


def of_two_classes(logit: Tensor) -> Tensor:
    """Logits (B, 2) of one logit (B, 1) that speaks for class 1.

    Half of it each, as beside a 0 the score of class 0 would have no gradient, and every map of what
    speaks for class 0 would be blank.
    """
    return torch.cat([-logit / 2, logit / 2], dim=1)


def sum_to_one(scores: Tensor) -> bool:
    """Whether each row (B, K), K at least 2, holds the probabilities of classes."""
    return (
        scores.shape[1] > 1
        and bool(((scores >= 0) & (scores <= 1)).all())
        and bool((scores.sum(dim=1) - 1).abs().max() <= _SUM)
    )
