"""The maps that are asked of a classifier, by networks that can be differentiated and by scores alone.

Shapes: N images, C channels, H x W pixels, K classes or labels.
"""

from torch import Tensor, nn

from activmask.models.inference import Classifier
from activmask.models.output import ModelOutput
from activmask.predictors.predictor import Predictor
from activmask.saliency.attribution import attribute, attribute_scores
from activmask.saliency.maps import Sign
from activmask.saliency.methods import METHODS


class _Centred(nn.Module):
    """A network whose first logit is always 0, given around 0: so either class has a score to explain."""

    def __init__(self, network: nn.Module) -> None:
        """For a network that returns a `ModelOutput` of two logits."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, reconstruct: bool = False) -> ModelOutput:
        """The same probabilities of images (B, C, H, W)."""
        return ModelOutput(_centred(self.network(images, reconstruct=reconstruct).logits))


def explainable(predictor: Predictor, logits: Tensor) -> tuple[nn.Module | None, Classifier]:
    """What maps are asked of: a predictor's network, if it can be had, and its scores.

    Of two classes whose first has the logit 0 throughout, (0, z), both are given as (-z/2, z/2).

    Args:
        predictor: any.
        logits: (N, K), what it said of the images.
    """
    network, scores = predictor.module, predictor.predict
    if predictor.multi_label or logits.shape[1] != 2 or logits[:, 0].any():
        return network, scores
    return None if network is None else _Centred(network), lambda images: _centred(scores(images))


def why_no_map(method: str, predictor: Predictor) -> str:
    """Why a method cannot explain a predictor; empty where it can.

    Raises:
        UsageError: there is no such method.
    """
    if predictor.module is None and not METHODS[method].predictions_only:
        return f"{method} asks for gradients, and only predictions can be had of this classifier"
    if predictor.multi_label and METHODS[method].between_classes:
        return f"{method} compares classes that exclude each other, and the outputs are labels that do not"
    return ""


def maps_of(
    network: nn.Module | None,
    scores: Classifier,
    images: Tensor,
    *,
    method: str,
    targets: Tensor,
    sign: Sign,
    seed: int,
) -> Tensor:
    """The maps of images, float (N, H, W), at least 0.

    Args:
        network: to differentiate; None where only scores can be had.
        scores: from images to scores (N, K), asked where there is no network.
        images: float32 (N, C, H, W) in [0, 1].
        method: that `why_no_map` has nothing against.
        targets: int64 (N,), the output of each image that is explained.
        sign: which values count.
        seed: of the noise, where the method draws any.

    Raises:
        UsageError: the network lacks what the method looks at.
    """
    if network is None:
        return attribute_scores(scores, images, method=method, target=targets, sign=sign)
    return attribute(network, images, method=method, target=targets, sign=sign, seed=seed)


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(dim=1, keepdim=True)
