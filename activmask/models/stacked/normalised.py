"""A stack's template is given normalisations of all seeds."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from activmask.models.activated import ActivatedConv2d
from activmask.models.stacked.batch_norm import Done, StackedBatchNorm2d


def normalise_together(template: nn.Module) -> None:
    """Give a stack's template normalisations of all seeds, in blocks that are known with what follows them.

    Args:
        template: is changed in place; modules stay where they are, with their names.
    """
    for module in template.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = StackedBatchNorm2d
    for module in template.modules():
        norms = [own for own in module.children() if isinstance(own, StackedBatchNorm2d)]
        known = _stacked_block(type(module))
        if known is not None and norms and type(module.relu) is nn.ReLU:
            module.__class__ = known
            module.relu.__class__ = Done


@contextmanager
def taps_kept(template: nn.Module, kept: bool) -> Iterator[None]:
    """Within it a stack's normalisations and convolutions keep what the ReLU after them sees, or do not."""
    modules = [one for one in template.modules() if isinstance(one, StackedBatchNorm2d | ActivatedConv2d)]
    for module in modules:
        module.tapped = kept
    try:
        yield
    finally:
        for module in modules:
            module.tapped = True


def _stacked_block(kind: type[nn.Module]) -> type[nn.Module] | None:
    """What a stack has in the place of a ResNet of torchvision, or of its block; None for any other."""
    if kind.__module__ != "torchvision.models.resnet":
        return None
    from activmask.models.stacked.residual_blocks import STACKED_BLOCKS

    return STACKED_BLOCKS.get(kind)
