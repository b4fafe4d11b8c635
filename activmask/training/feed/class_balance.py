"""What is done about classes of unequal size: weights of their losses, or more draws of the rare ones.

Shapes: N training images, K classes.
"""

import torch
from torch import Tensor

from activmask.ground.errors import DataError


def class_weights(labels: Tensor, classes: int, data: str) -> Tensor:
    """The weight of each class, (K,): N / (K times its images), so that all images weigh N together.

    Args:
        labels: int64 (N,).
        classes: K.
        data: the data set's name, for errors.

    Raises:
        DataError: a class has no training image.
    """
    counts = _counts(labels, classes, data)
    return (len(labels) / (classes * counts.double())).to(torch.get_default_dtype())


def chances(labels: Tensor, classes: int, data: str) -> Tensor:
    """By what each image is drawn where classes are drawn alike, float64 (N,): one over its class's number.

    Raises:
        DataError: a class has no training image.
    """
    return _counts(labels, classes, data).double().reciprocal()[labels.cpu()]


def _counts(labels: Tensor, classes: int, data: str) -> Tensor:
    counts = torch.bincount(labels.cpu(), minlength=classes)
    if missing := (counts == 0).nonzero().flatten().tolist():
        raise DataError(
            f"class {missing[0]} has no training image, so that nothing makes it count like the others",
            path=data,
            advice="leave class_balance out, or train on images of every class",
        )
    return counts


def epoch_order(count: int, chance: Tensor | None, generator: torch.Generator) -> Tensor:
    """The images of an epoch in their order, int64 (N,): each once; or, given chances, drawn with repeats.

    Args:
        count: N.
        chance: from `chances`, or None.
        generator: on the CPU.
    """
    if chance is None:
        return torch.randperm(count, generator=generator)
    return torch.multinomial(chance, count, replacement=True, generator=generator)
