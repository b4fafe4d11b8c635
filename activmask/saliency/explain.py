"""What a checkpoint decides about images, and where it looks.

Shapes: N images, C channels, H x W pixels of the network's size, K classes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activmask.data.samples import as_picture
from activmask.ground.errors import CheckpointError
from activmask.ground.progress import ItemsDone
from activmask.models.inference import images_per_pass
from activmask.models.taps import device_of
from activmask.objectives.reconstruction import RECON, reconstruction_image
from activmask.runs.checkpoint import Checkpoint, refuse_several_labels
from activmask.saliency.attribution import attribute, method_layer
from activmask.saliency.inputs import Inputs
from activmask.saliency.maps import mass_inside
from activmask.saliency.methods import METHODS, USUAL_METHOD
from activmask.training.feed.known_recipe import known_classes

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One image, the network's decision on it, and the attribution of that decision."""

    path: Path
    """The image file."""
    image: Floats
    """(H, W) in [0, 1], or (H, W, 3) in colour, as the network saw it."""
    mask: NDArray[np.bool_] | None
    """(H, W), dilated as in training, or None."""
    method: str
    """Of attribution."""
    target: int
    """The class whose score was attributed."""
    attribution: Floats
    """(H, W), at least 0; one for all channels, see `activmask.saliency.attribution.attribute`."""
    probabilities: Floats
    """(K,), softmax of the logits."""
    reconstruction: Floats | None
    """Like the image, from a network that was trained to reconstruct."""
    layer: str | None = None
    """The feature map that the method looked at, in words; None where it looks at none."""
    class_names: tuple[str, ...] = ()
    """(K,), how the classes are called; empty where that is not known."""
    label: int | None = None
    """The class of the image where a data set tells it."""
    slice_number: int | None = None
    """Of the volume that the image was cut from."""

    def called(self, number: int) -> str:
        """What a class is called: its name, or `class 1` where it has none."""
        return self.class_names[number] if self.class_names else f"class {number}"

    @property
    def image_name(self) -> str:
        """What is explained, in words: the file's name and, of a volume, the slice."""
        return self.path.name if self.slice_number is None else f"{self.path.name}, slice {self.slice_number}"

    @property
    def evidence(self) -> str:
        """In words: a positive part shows what speaks for the class, other maps what matters either way."""
        return "evidence for" if METHODS[self.method].positive else "evidence for or against"

    @property
    def predicted(self) -> int:
        """The class of the highest probability."""
        return int(self.probabilities.argmax())

    @property
    def share_inside(self) -> float | None:
        """Share of the attribution's sum inside the mask; None without a mask or any attribution.

        Relevance mass accuracy, Arras et al. 2022 (arXiv 2003.07258).
        """
        if self.mask is None or not self.attribution.any():
            return None
        attribution = self.attribution.astype(np.float64).reshape(1, -1)
        return float(mass_inside(attribution, self.mask.reshape(1, -1))[0])

    @property
    def chance_inside(self) -> float | None:
        """What a random map would score: the mask's share of the image; None without a mask."""
        return None if self.mask is None else float(self.mask.mean())


def explain(
    checkpoint: Checkpoint,
    inputs: Inputs,
    *,
    method: str = USUAL_METHOD,
    target: int | None = None,
    layer: str | None = None,
    device: torch.device | str = "cpu",
    done: ItemsDone | None = None,
) -> list[Explanation]:
    """Classify images and attribute each decision to pixels.

    Args:
        checkpoint: the network.
        inputs: the images, as `read_inputs` makes them.
        method: a name in `activmask.saliency.methods.METHODS`.
        target: the class to explain; None explains each image's predicted class.
        layer: the module whose output the method looks at; None takes the last feature map.
        device: where the network computes; it is left there.
        done: is told after each pass how many images are explained, and of how many.

    Raises:
        UsageError: unknown method, class or layer, or a method this network cannot be explained by.
        CheckpointError: the network's outputs are not finite, or of labels that do not exclude each other.
    """
    refuse_several_labels(checkpoint.path, checkpoint)
    model = checkpoint.model.to(device).eval()
    feature_map = method_layer(model, inputs.images, method=method, layer=layer)
    maps = attribute(model, inputs.images, method=method, target=target, layer=layer, done=done)
    probabilities, reconstructions = _outputs(checkpoint, model, inputs.images)
    if not (torch.isfinite(maps).all() and torch.isfinite(probabilities).all()):
        raise CheckpointError(
            "the network's outputs are not finite numbers, so they cannot be explained; the checkpoint's "
            "weights are unusable, train again or take an earlier one"
        )
    names = known_classes(checkpoint)
    return [
        Explanation(
            path=path,
            image=as_picture(inputs.images[i]),
            mask=_mask(inputs, i),
            method=method,
            target=int(probabilities[i].argmax()) if target is None else target,
            attribution=maps[i].numpy(),
            probabilities=probabilities[i].numpy(),
            reconstruction=None if reconstructions is None else as_picture(reconstructions[i]),
            layer=None if feature_map is None else str(feature_map),
            class_names=names,
            label=inputs.labels[i] if inputs.labels else None,
            slice_number=inputs.slice_number,
        )
        for i, path in enumerate(inputs.paths)
    ]


def _mask(inputs: Inputs, i: int) -> NDArray[np.bool_] | None:
    if inputs.masks is None or (inputs.has_mask and not inputs.has_mask[i]):
        return None
    return np.asarray(inputs.masks[i].numpy())


def _outputs(checkpoint: Checkpoint, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Probabilities (N, K) and, from a network trained to reconstruct, images (N, C, H, W) in [0, 1]."""
    device = device_of(model)
    with torch.no_grad():
        outputs = [model(part.to(device)) for part in torch.split(images, images_per_pass(images, device))]
    probabilities = torch.cat([output.logits.softmax(dim=1).cpu() for output in outputs])
    trained = RECON.of(checkpoint.config.objectives)
    if trained.recon == 0 or outputs[0].reconstruction is None:
        return probabilities, None
    decoded = torch.cat([output.reconstruction.cpu() for output in outputs])
    return probabilities, reconstruction_image(decoded, trained.recon_loss)
