"""A network of several labels as one that is asked about one of them, a question of two classes.

Shapes: B images, C channels, H x W pixels, L labels.
"""

from torch import Tensor, nn

from activmask.models.output import ModelOutput
from activmask.models.returned import of_two_classes
from activmask.models.taps import Tapped


class OneLabel(nn.Module):
    """Whether one label is true: class 0 that it is not, class 1 that it is."""

    def __init__(self, model: nn.Module, label: int) -> None:
        """Wrap a model that returns a `ModelOutput`; its weights are shared."""
        super().__init__()
        self.model = model
        self.label = label

    def forward(self, images: Tensor, reconstruct: bool = True) -> ModelOutput:
        """Answer for images (B, C, H, W), with logits (B, 2)."""
        found: ModelOutput = self.model(images, reconstruct=reconstruct)
        return ModelOutput(
            logits_of_label(found.logits, self.label), found.reconstruction, found.pre_activations
        )


def logits_of_label(logits: Tensor, label: int) -> Tensor:
    """Logits (B, 2) of one label among those of all (B, L)."""
    return of_two_classes(logits[:, label : label + 1])


def one_label(model: nn.Module, label: int) -> nn.Module:
    """A network that shares a model's weights and answers about one label, in evaluation mode.

    Args:
        model: of L labels, on any device.
        label: from 0 to L - 1.
    """
    if not isinstance(model, Tapped):
        return OneLabel(model, label).eval()
    after = model.after

    def chosen(returned: object, images: int) -> Tensor:
        if after is not None:
            return logits_of_label(after(returned, images), label)
        assert isinstance(returned, Tensor)
        return logits_of_label(returned, label)

    return Tapped(model.network, before=model.before, after=chosen, notes=model.notes).eval()
