"""Make a network cheap to differentiate twice."""

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from activmask.kernels.convolution import conv2d


class Geometry(TypedDict):
    """Of a convolution, see `conv2d`."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int


class TwiceDifferentiableConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with the convolution of `activmask.kernels.convolution`; zero padding only."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Convolve images (B, C, H, W)."""
        if not isinstance(input, Tensor):
            # What stands for one says itself how it is convolved.
            return super().forward(input)
        return conv2d(input, self.weight, self.bias, **self.geometry)

    @property
    def geometry(self) -> Geometry:
        """How it convolves, as arguments of `conv2d`."""
        assert not isinstance(self.padding, str)
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


def prepare_double_backward(model: nn.Module) -> None:
    """Have a network's convolutions computed in the form that is cheap to differentiate twice.

    The modules stay where they are, with their parameters, hooks and names: only how they compute
    changes. Convolutions of another kind, or padded with anything but a given number of zeros,
    keep torch's own form, which gives the same derivatives more slowly.

    Args:
        model: is changed in place.
    """
    for module in model.modules():
        plain = type(module) is nn.Conv2d
        if plain and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = TwiceDifferentiableConv2d
