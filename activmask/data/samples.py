"""Images, masks and labels in memory.

Shapes: N images, C channels, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A set of labelled images that lives whole in memory."""

    images: Tensor
    """float32 (N, C, H, W) in [0, 1]."""
    masks: Tensor
    """bool (N, 1, H, W), True inside the region of interest; all True for an image without a mask."""
    has_mask: Tensor
    """bool (N,), False where the data set gives no mask."""
    labels: Tensor
    """int64 (N,), the class of each image; of L labels that do not exclude each other (N, L) of 0 and 1, -1
    where unknown."""
    subjects: tuple[str, ...]
    """Whom each image shows; nobody's images fall in two splits."""
    sites: tuple[str, ...]
    """Where each image was made; empty strings when unknown."""
    names: tuple[str, ...]
    """The image's file name relative to its data set, or its number."""
    native: Tensor | None = None
    """int64 (N, 2), height and width in px of the slice that each image and mask was resized from, the
    grid on which the blur that dilates masks counts its px; 0 where the data set should say and does
    not, None where that is the stored grid."""

    def __len__(self) -> int:
        """The number of images N."""
        return len(self.labels)

    def subset(self, indices: Sequence[int]) -> "Samples":
        """The images at `indices`, in that order."""
        picked = torch.as_tensor(indices, dtype=torch.int64)
        return replace(
            self,
            images=self.images[picked],
            masks=self.masks[picked],
            has_mask=self.has_mask[picked],
            labels=self.labels[picked],
            subjects=tuple(self.subjects[i] for i in indices),
            sites=tuple(self.sites[i] for i in indices),
            names=tuple(self.names[i] for i in indices),
            native=None if self.native is None else self.native[picked],
        )


def of_label(samples: Samples, label: int) -> Samples:
    """The images of which one of several labels is known, with labels 0 and 1 of whether it is true.

    Args:
        samples: whose labels are (N, L).
        label: from 0 to L - 1.
    """
    rows = torch.nonzero(samples.labels[:, label] >= 0).flatten()
    known = samples.subset(rows.tolist())
    return replace(known, labels=known.labels[:, label])


def as_picture(image: Tensor) -> NDArray[np.float32]:
    """An image (C, H, W) as it is drawn: (H, W, 3) of three channels, else (H, W), the mean of all."""
    if len(image) == 3:
        return np.asarray(image.permute(1, 2, 0).contiguous().numpy())
    return np.asarray((image[0] if len(image) == 1 else image.mean(dim=0)).numpy())
