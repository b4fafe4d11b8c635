"""How a function becomes an operator of torch's.

Not by `torch.library.custom_op`, whose operators import the compiler when they are first called:
seconds of every training, which compiles nothing. Nor is it looked for at every call, as there, whether a
result shares memory with an argument; no form here may give one that does.
"""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.library import define, impl, infer_schema

Result = TypeVar("Result")


def operator(
    name: str, changes: Sequence[str] = ()
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Make an operator of the function that computes it on every device, which is decorated.

    Its annotations are the operator's. Its form without values and its derivative are registered by
    name, see `torch.library`.

    Args:
        name: such as `activmask::conv2d`.
        changes: the tensors among its arguments that it writes into. One that does has no derivative.
    """

    def defined(form: Callable[..., Result]) -> Callable[..., Result]:
        define(name, infer_schema(form, mutates_args=changes), tags=torch.Tag.pt2_compliant_tag)
        impl(name, "default", _telling(form, changes) if changes else form)
        library, own = name.split("::")
        overload: Callable[..., Result] = getattr(getattr(torch.ops, library), own).default
        return overload

    return defined


def _telling(form: Callable[..., Result], changes: Sequence[str]) -> Callable[..., Result]:
    """The form, which then has autograd know what it wrote into: kernels of our own do not."""
    places = [place for place, each in enumerate(signature(form).parameters) if each in changes]

    def told(*given: Any) -> Result:
        found = form(*given)
        increment_version([given[place] for place in places])
        return found

    return told


def laid_like(like: Tensor, found: Tensor) -> Tensor:
    """What a form found, in the order in memory that its operator promises: that of `like`."""
    order = torch.empty_like(like, device="meta").stride()
    return found if found.stride() == order else torch.empty_like(like).copy_(found)
