"""From images as they are given to what a network takes, in steps that gradients go through.

Shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.ground.errors import CheckpointError, UsageError
from activmask.models.foreign_code import counted, failures_told, sides_in_words

LUMINANCE = (0.299, 0.587, 0.114)
"""Grey of red, green and blue, ITU-R BT.601, as Pillow and torchvision make it."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to images in [0, 1] before a network sees them, in the order of the fields.

    What is not said is not done, but for a network of torchvision or timm, whose library's own values
    are taken, and for `channels`, which follow from the first convolution where that takes 1 or 3.
    """

    channels: int | None = None
    """Grey images are repeated to 3, colours become their luminance (ITU-R BT.601)."""
    size: int | tuple[int, int] | None = None
    """Side in px, or height and width, to which images are resized bilinearly, with antialiasing."""
    scale: float | None = None
    """The images are multiplied by this: 255 for a network that was trained on bytes."""
    mean: tuple[float, ...] = ()
    """Is subtracted after scaling: one number, or one of each channel. Comes with `std`."""
    std: tuple[float, ...] = ()
    """Is divided by: one number, or one of each channel. Comes with `mean`."""
    function: Callable[[Tensor], Tensor] | None = None
    """In place of all others: maps images (B, C, H, W) in [0, 1] to what the network takes, on the
    images' device. Gradients are had where it is made of torch's operations."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: names the field.
        """
        said = [name for name in ("channels", "size", "scale") if getattr(self, name) is not None]
        said += [name for name in ("mean", "std") if getattr(self, name)]
        if self.function is not None and said:
            raise UsageError(f"a preprocessing function stands alone; leave out {', '.join(said)}")
        if bool(self.mean) != bool(self.std):
            raise UsageError("mean and std come together; a mean of 0 and a std of 1 change nothing")
        if self.channels is not None and self.channels < 1:
            raise UsageError("channels must be at least 1", found=self.channels)
        if any(side < 1 for side in self.sides or ()):
            raise UsageError("size must be at least 1 px", found=self.size)
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale != 0):
            raise UsageError("scale must be a finite number other than 0", found=self.scale)
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)):
            raise UsageError("mean and std must be finite numbers")
        if any(value <= 0 for value in self.std):
            raise UsageError("std must be above 0", found=min(self.std))

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width to resize to."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def unsaid(self) -> tuple[str, ...]:
        """Which of mean, std and scale are not given; none of them where a function is."""
        if self.function is not None:
            return ()
        given = {"mean": bool(self.mean), "std": bool(self.std), "scale": self.scale is not None}
        return tuple(name for name, there in given.items() if not there)

    def as_seen(self) -> str:
        """How a network sees the images, for example `as [0, 1], nothing subtracted`; never empty."""
        if self.function is not None:
            return "as a function of the user's makes them"
        steps = [self.in_words(), "as [0, 1]" * (not self.mean and self.scale is None)]
        return ", ".join(filter(None, [*steps, "nothing subtracted" * (not self.mean)]))

    def in_words(self) -> str:
        """What is done, for example `resized to 224 x 224 px, mean 0.5, std 0.25`."""
        steps = [] if self.channels is None else [f"{self.channels} channel{'s' * (self.channels > 1)}"]
        if self.sides is not None:
            steps.append(f"resized to {self.sides[1]} x {self.sides[0]} px")
        if self.scale is not None:
            steps.append(f"multiplied by {self.scale:g}")
        steps += [
            f"{name} {', '.join(f'{value:g}' for value in values)}"
            for name, values in (("mean", self.mean), ("std", self.std))
            if values
        ]
        return ", ".join(steps)


class Prepare(nn.Module):
    """The steps of a `Preprocessing`, for images of so many channels."""

    luminance: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, how: Preprocessing, channels: int) -> None:
        """Set up the steps (raises UsageError where they do not fit images of `channels`)."""
        super().__init__()
        wanted = channels if how.channels is None else how.channels
        if wanted != channels and (channels, wanted) not in {(1, 3), (3, 1)}:
            raise UsageError(
                f"images of {counted(channels)} cannot become images of {wanted}: grey is repeated to 3, and "
                "3 become their luminance; give a preprocessing function"
            )
        for name, values in (("mean", how.mean), ("std", how.std)):
            if len(values) not in {0, 1, wanted}:
                raise UsageError(
                    f"{name} takes one number, or one of each of {wanted} channels", found=values
                )
        self.given, self.wanted, self.how = channels, wanted, how
        self.register_buffer("luminance", torch.tensor(LUMINANCE).view(1, 3, 1, 1), persistent=False)
        for name, values, usual in (("mean", how.mean, 0.0), ("std", how.std, 1.0)):
            self.register_buffer(name, torch.tensor(values or (usual,)).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Prepare images (B, C, H, W) in [0, 1]."""
        if self.how.function is not None:
            return self.how.function(images)
        if self.wanted < self.given:
            images = (images * self.luminance).sum(dim=1, keepdim=True)
        sides = self.how.sides
        if sides is not None and images.shape[2:] != sides:
            images = F.interpolate(images, sides, mode="bilinear", antialias=True)
        if self.wanted > self.given:
            images = images.expand(-1, self.wanted, -1, -1)
        if self.how.scale is not None:
            images = images * self.how.scale
        return (images - self.mean) / self.std if self.how.mean else images


def prepared_by(how: Preprocessing, image: Tensor, name: str) -> tuple[nn.Module, Tensor]:
    """The steps of a preprocessing, and what they make of an image (1, C, H, W), on its device.

    Args:
        how: the preprocessing.
        image: in [0, 1].
        name: of the classifier, for errors.

    Raises:
        UsageError: the steps do not fit the image.
        CheckpointError: the user's function fails, or returns no images.
    """
    prepare = Prepare(how, image.shape[1]).to(image.device)
    with torch.no_grad(), failures_told(name, f"to prepare {sides_in_words(image)}"):
        prepared = prepare(image.clone())
    if not isinstance(prepared, Tensor) or prepared.ndim != 4 or len(prepared) != 1:
        is_tensor = isinstance(prepared, Tensor)
        raise CheckpointError(
            "the preprocessing function has to return images",
            expected="a tensor (images, channels, height, width), one an image",
            found=tuple(prepared.shape) if is_tensor else f"a {type(prepared).__name__}",
        )
    return prepare, prepared
