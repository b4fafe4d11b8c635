"""One label of several that do not exclude each other, as a question of two classes.

Shapes: B images, C channels, H x W pixels, L labels.
"""

from dataclasses import replace

from torch import Tensor

from activmask.models.one_label import logits_of_label, one_label
from activmask.predictors.predictor import Predictor


def label_predictor(predictor: Predictor, label: int) -> Predictor:
    """A predictor of whether one label is true: class 0 that it is not, class 1 that it is.

    Args:
        predictor: of L labels.
        label: from 0 to L - 1.
    """
    assert predictor.multi_label

    def predict(images: Tensor) -> Tensor:
        return logits_of_label(predictor.predict(images), label)

    module = None if predictor.module is None else one_label(predictor.module, label)
    return replace(predictor, outputs=2, predict=predict, multi_label=False, module=module)
