"""The networks: the paper's convnets and torchvision's classifiers, all returning a `ModelOutput`."""

from activmask.models.build import build_model, check_model, load_plain_weights, plain_weights
from activmask.models.convnet import ConvNet
from activmask.models.double_backward import prepare_double_backward
from activmask.models.output import ModelOutput
from activmask.models.taps import Tapped

__all__ = [
    "ConvNet",
    "ModelOutput",
    "Tapped",
    "build_model",
    "check_model",
    "load_plain_weights",
    "plain_weights",
    "prepare_double_backward",
]
