"""Losses in a form that `torch.vmap` keeps whole: torch's own it takes apart into some fifteen operations.

The values are the same up to rounding.

Shapes: B images, K classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_LINEAR_FROM = 40.0
"""From there on log(1 + exp(x)) is x in double precision too."""


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """`F.cross_entropy` of logits (B, K) against classes (B,)."""
    own: Tensor = logits.log_softmax(1).gather(1, labels[:, None])
    return own.sum() * (-1 / len(own))


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`F.binary_cross_entropy_with_logits` of logits against targets in [0, 1], of one shape.

    -t log s(x) - (1 - t) log(1 - s(x)) is log(1 + exp(x)) - t x, where s is the logistic function.
    """
    return torch.addcmul(F.softplus(logits, threshold=_LINEAR_FROM), targets, logits, value=-1).mean()


_FORMS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.cross_entropy: _cross_entropy,
    F.binary_cross_entropy_with_logits: _binary_cross_entropy,
}


_PLAIN: dict[str, object] = {"reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0}
"""Settings at which a loss has none, beside those that are None."""


class SeedWiseLosses(TorchFunctionMode):
    """The mode in which losses with no further settings are computed in these forms."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute the loss by its form, anything else as it is."""
        given = kwargs or {}
        form = _FORMS.get(func)
        plain = len(args) == 2 and all(value == _PLAIN.get(name) for name, value in given.items())
        if form is not None and plain and _known(func, *args):
            return form(*args)
        return func(*args, **given)


def _known(func: Callable[..., Any], logits: Tensor, other: Tensor) -> bool:
    """Whether the tensors are of the kind that the form is for."""
    if func is F.cross_entropy:
        return logits.ndim == 2 and other.dtype == torch.int64
    return logits.shape == other.shape
