"""One label of several that do not exclude each other, as a question of two classes.

Shapes: B images, C channels, H x W pixels, L labels.
"""

from dataclasses import replace

from torch import Tensor, nn

from activmask.models.returned import of_two_classes
from activmask.models.taps import Tapped
from activmask.predictors.predictor import Predictor


def label_predictor(predictor: Predictor, label: int) -> Predictor:
    """A predictor of whether one label is true: class 0 that it is not, class 1 that it is.

    Args:
        predictor: of L labels.
        label: from 0 to L - 1.
    """
    assert predictor.multi_label

    def predict(images: Tensor) -> Tensor:
        return label_logits(predictor.predict(images), label)

    module = None if predictor.module is None else _of_label(predictor.module, label)
    return replace(predictor, outputs=2, predict=predict, multi_label=False, module=module)


def label_logits(logits: Tensor, label: int) -> Tensor:
    """Logits (B, 2) of one label among those of all (B, L)."""
    return of_two_classes(logits[:, label : label + 1])


def _of_label(module: nn.Module, label: int) -> nn.Module:
    assert isinstance(module, Tapped)  # Of the predictors of several labels, networks alone have a module.
    after = module.after

    def chosen(returned: object, images: int) -> Tensor:
        assert after is not None
        return label_logits(after(returned, images), label)

    return Tapped(module.network, before=module.before, after=chosen).eval()
