"""From what a classifier returns to logits: where the scores are, what they mean, and which are meant.

Shapes: B images, K classes or labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from activmask.ground.errors import CheckpointError, UsageError
from activmask.ground.nearest import nearest

Kind = Literal["logits", "probabilities", "scores"]
"""What outputs are: before the softmax or sigmoid, after it, or any numbers of which more means more."""

KINDS: tuple[str, ...] = get_args(Kind)

_SUM = 1e-3
"""By how much the probabilities of an image may miss 1, as those of half precision do."""
_KEYS_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How what a classifier returns is read."""

    kind: Kind
    multi_label: bool
    columns: tuple[int, ...] | None = None
    """Which outputs stand for the classes 0, 1, ... of the data; None for all in their order. One output that
    tells two classes apart counts as two of them: 1 is the class that it speaks for, 0 the other."""

    def logits(self, returned: object, images: int) -> Tensor:
        """Logits (B, K) of what a classifier returned for B images (raises as `scores_in`)."""
        scores = scores_in(returned, images)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        alone = scores.shape[1] == 1 or self.multi_label
        if self.kind == "probabilities":
            _check_probabilities(scores, alone)
        columns = None if self.columns is None else list(self.columns)
        of_two = scores.shape[1] == 1 and columns is not None and sorted(columns) == [0, 1]
        if columns is not None and not of_two:
            scores = scores[:, columns]
        if self.kind == "probabilities":
            scores = _log_odds(scores) if alone else scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        if scores.shape[1] > 1 or self.multi_label:
            return scores
        both = of_two_classes(scores)
        return both[:, columns] if of_two else both


def of_two_classes(logit: Tensor) -> Tensor:
    """Logits (B, 2) of one logit (B, 1) that speaks for class 1.

    Half of it each, as beside a 0 the score of class 0 would have no gradient, and every map of what
    speaks for class 0 would be blank.
    """
    return torch.cat([-logit / 2, logit / 2], dim=1)


def check_kind(kind: str | None) -> None:
    """Refuse a word that is no `Kind` (raises UsageError)."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"outputs cannot be '{kind}'; {nearest(kind, KINDS)}")


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
            found=f"{str(found.dtype).removeprefix('torch.')}, as class numbers are",
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


def _check_probabilities(scores: Tensor, alone: bool) -> None:
    values = scores.detach()
    if not bool(values.isfinite().all()):
        return  # Is told as what it is where images can be named.
    if bool((values < 0).any() | (values > 1).any()):
        wrong = f"{float(values.min()):g} to {float(values.max()):g}"
        expected = "numbers from 0 to 1"
    elif not alone and not sum_to_one(values):
        sums = values.sum(dim=1)
        wrong = f"a sum of {float(sums[(sums - 1).abs().argmax()]):g}"
        expected = "those of an image's classes to add up to 1"
    else:
        return
    raise CheckpointError(
        "the outputs are no probabilities",
        expected=expected,
        found=wrong,
        advice="say that outputs are logits or scores, or that the labels do not exclude each other",
    )


def _log_odds(probabilities: Tensor) -> Tensor:
    """What a sigmoid makes these of; 0 and 1 count as the numbers next to them."""
    numbers = torch.finfo(probabilities.dtype)
    inside = probabilities.clamp(numbers.tiny, 1 - numbers.eps / 2)
    return inside.log() - (-inside).log1p()


def sum_to_one(scores: Tensor) -> bool:
    """Whether each row (B, K), K at least 2, holds the probabilities of classes."""
    return (
        scores.shape[1] > 1
        and bool(((scores >= 0) & (scores <= 1)).all())
        and bool((scores.sum(dim=1) - 1).abs().max() <= _SUM)
    )
