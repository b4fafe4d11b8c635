"""How far apart the activations of two passes are."""

from collections.abc import Sequence
from importlib.util import find_spec

from torch import Tensor

from activmask.kernels.activation_distance import reference
from activmask.kernels.activation_distance.norms import Norm

_HAS_TRITON = find_spec("triton") is not None


def activation_distance(
    full: Sequence[Tensor], shuffled: Sequence[Tensor], norm: Norm, *, relu: bool = False
) -> Tensor:
    """The mean Euclidean distance between two lists of activations.

    Three readings of paper Eq. 1 differ in what one norm runs over:
        `layer`: all of a sample's activations in a layer, as Eq. 1 is written; mean over samples,
            then over layers.
        `channel`: the channels at one position (axis 1); mean over all distances of all layers
            together, so that layers with many positions weigh more. This is what
            `torch.nn.PairwiseDistance` computed in the release the authors ran.
        `row`: the last axis; pooled like `channel`. This is what the same call computes today.

    Where two activations are equal the distance is 0 and so is its gradient. Half-precision inputs
    are accumulated in fp32. On CUDA the gradient cannot be differentiated again, and says so.

    Args:
        full: activations of the original images, each (B, ...).
        shuffled: activations of the shuffled copies, the same shapes.
        norm: `layer`, `channel` or `row`.
        relu: measure between what a ReLU makes of the activations; CUDA then launches nothing more.

    Returns:
        A scalar, at least 0.
    """
    if _HAS_TRITON and all(tap.is_cuda or tap.is_meta for tap in (*full, *shuffled)):
        from activmask.kernels.activation_distance import triton

        return triton.activation_distance(full, shuffled, norm, relu=relu)
    return reference.activation_distance(full, shuffled, norm, relu=relu)
