"""Batch normalisation with what usually follows it: an addition and a ReLU."""

from torch import Tensor

from activmask.kernels.batch_norm import operators, reference


def batch_norm(
    images: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    running_mean: Tensor | None = None,
    running_variance: Tensor | None = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
    tapped: bool = False,
) -> tuple[Tensor, Tensor]:
    """`relu(batch_norm(images) + residual)`, in two passes over memory forward and two backward.

    The values and derivatives are those of `torch.nn.functional.batch_norm` (Ioffe and Szegedy 2015,
    arXiv:1502.03167), the addition and `relu`. In training it can be differentiated twice; a third
    derivative is refused. Networks stacked along the channels keep their own statistics, since
    every channel does. Statistics and sums are single precision, double where the images are.

    Shapes: B images, C channels, any positions.

    Args:
        images: (B, C, ...), with at least two values a channel in training.
        weight: (C,), or 1.
        bias: (C,), or 0.
        running_mean: (C,); in training it moves towards the batch's by `momentum`, otherwise it is used.
        running_variance: (C,); likewise, towards the batch's unbiased one.
        training: use the statistics of the batch, and let the running ones follow; with none given, they are
            not kept.
        momentum: in [0, 1].
        epsilon: that is added to the variance.
        residual: of the images' shape and type, added to what was normalised.
        relu: cut off what is below zero.
        tapped: keep what the ReLU saw. Otherwise it is never written to memory.

    Returns:
        The output (B, C, ...) in the images' type and layout, and what came before the ReLU: with
        `tapped` a tensor of that shape, whose gradient counts too, and the output itself where there
        is no ReLU; otherwise an empty one.

    Raises:
        ValueError: training on one value a channel; a shape that does not fit; or no running
            statistics to evaluate with.
    """
    _check(images, residual, running_mean, running_variance, training)
    if not training:
        output, before = reference.batch_norm(
            images, weight, bias, running_mean, running_variance, False, momentum, epsilon, residual, relu
        )
        return output, before if tapped or not relu else images.new_empty(0)
    output, before, mean, variance = operators.batch_norm(
        images, weight, bias, residual, epsilon, relu, tapped
    )
    if running_mean is not None and running_variance is not None:
        count = images.numel() // images.shape[1]
        operators.follow(running_mean, running_variance, mean, variance, momentum, count)
    return output, before if relu else output


def _check(
    images: Tensor,
    residual: Tensor | None,
    running_mean: Tensor | None,
    running_variance: Tensor | None,
    training: bool,
) -> None:
    if residual is not None and (residual.shape, residual.dtype) != (images.shape, images.dtype):
        found, wanted = (f"{each.dtype} {tuple(each.shape)}" for each in (residual, images))
        raise ValueError(f"the residual must be {wanted} as the images are, found {found}")
    if (running_mean is None) != (running_variance is None):
        raise ValueError("give a running mean and a running variance, or neither")
    if not training and running_mean is None:
        raise ValueError("without training, a running mean and variance are needed")
    if training and images.numel() <= images.shape[1]:
        raise ValueError(f"expected more than 1 value per channel when training, got {tuple(images.shape)}")
