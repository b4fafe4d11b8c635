"""A step of Adam in plain PyTorch, in as many passes over memory as there are operations."""

from torch import Tensor


def adam(
    weights: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    stopped: Tensor,
    sizes: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """The reference of `activmask.kernels.adam.adam`, with its shapes; `steps` is left as it is.

    Args:
        weights: is changed.
        gradient: of the weights.
        first: is changed.
        second: is changed.
        steps: that were taken before.
        stopped: the seeds to leave alone.
        sizes: of the parts.
        lr: see there.
        beta1: the share of the first running mean that stays.
        beta2: that of the second.
        eps: see there.
    """

    def spread(of_parts: Tensor) -> Tensor:
        return of_parts.repeat_interleave(sizes, output_size=len(weights))

    goes_on = spread(stopped.repeat(len(sizes) // len(stopped))) == 0
    # In double precision, because 1 - 0.999 keeps four digits of single.
    short1, short2 = (spread((1 - beta ** (steps.double() + 1)).to(weights.dtype)) for beta in (beta1, beta2))
    mean = first.lerp(gradient, 1 - beta1)
    square = second * beta2 + gradient * gradient * (1 - beta2)
    moved = weights - lr / short1 * mean / (square.sqrt() / short2.sqrt() + eps)
    for kept, new in ((weights, moved), (first, mean), (second, square)):
        kept.copy_(new.where(goes_on, kept))
