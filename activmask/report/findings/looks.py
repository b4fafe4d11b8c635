"""What one network makes of a few images, asked or taken from what was kept beside it.

Shapes: H x W pixels of the network's size.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from activmask.data.samples import Samples, as_picture
from activmask.data.settings import View
from activmask.data.view import as_seen, at_network_size
from activmask.evaluation.basis import Basis, basis_of
from activmask.evaluation.evaluate import check_fit
from activmask.evaluation.kept import keep, kept
from activmask.ground.rebuilt import rebuilt
from activmask.runs.checkpoint import Checkpoint, Description, load_checkpoint
from activmask.saliency.explain import Floats, explain
from activmask.saliency.inputs import Inputs
from activmask.saliency.maps import top_pixels
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import as_judged


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A validation image as the data set holds it, at the size the network sees."""

    name: str
    label: int
    image: Floats
    """(H, W) in [0, 1], or (H, W, 3) in colour."""
    given: NDArray[np.bool_] | None
    """(H, W), the mask before its dilation, or None."""
    dilated: NDArray[np.bool_] | None
    """(H, W), the mask of training, or None."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One network's decision on one image, and the pixels that mattered most to it."""

    shown: Shown
    image: Floats
    """(H, W) in [0, 1], or (H, W, 3) in colour, as the network saw it."""
    predicted: int
    """The class of the highest probability."""
    top: NDArray[np.bool_]
    """(H, W), the pixels of highest attribution."""
    reconstruction: Floats | None = None
    """Like the image, from a network that was trained to reconstruct."""

    @property
    def right(self) -> bool:
        """Whether the predicted class is the image's."""
        return self.predicted == self.shown.label

    @property
    def inside(self) -> float | None:
        """Share of the top pixels in the dilated mask; None without a mask or any attribution."""
        if self.shown.dilated is None or not self.top.any():
            return None
        return float(self.shown.dilated[self.top].mean())


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What a network says of an image, see `Look`."""

    predicted: int
    top: NDArray[np.bool_]
    reconstruction: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What is kept of that."""

    predicted: int
    top: str
    """Row by row, eight pixels a byte, in base64."""


def shown(stored: Samples, view: View) -> tuple[Shown, ...]:
    """Images as their data set holds them, at the size of a view."""
    given, dilated = at_network_size(stored, view), as_seen(stored, view)
    return tuple(
        Shown(
            name=stored.names[i],
            label=int(stored.labels[i]),
            image=as_picture(given.images[i]),
            given=given.masks[i, 0].numpy() if stored.has_mask[i] else None,
            dilated=dilated.masks[i, 0].numpy() if stored.has_mask[i] else None,
        )
        for i in range(len(stored))
    )


def looks_at(
    path: Path,
    stored: Samples,
    *,
    top: float,
    device: torch.device | str,
    code: Sequence[Path],
    common: Basis,
    reading: Reading,
) -> tuple[Look, ...]:
    """What a checkpoint's network makes of images, one look each.

    It is kept in the seed's folder as evaluations are, and taken from there for as long as all that it
    follows from is the same; then no network is built. Of one that reconstructs nothing is kept, as what
    it decodes is an image, and a run's folder holds no pixels of those.

    Args:
        path: of the checkpoint.
        stored: validation images of its run as stored, with the masks that the run judges them by.
        top: share of the pixels that count as the highest, in (0, 1].
        device: where to compute.
        code: Python files that may run, as in `load_checkpoint`.
        common: what all looks of this process follow from, see `common_basis`.
        reading: what the images were read by.

    Raises:
        CheckpointError: as `load_checkpoint`, or the network's outputs are not finite.
        DataError: the images are unlike what the network was made for.
    """
    known = _basis(path, stored.names, top, common, reading)
    if known is not None:
        description, basis = known
        found = _from_kept(kept(path.parent, basis), description.image_size, len(stored))
        if found is not None:
            return _looks(stored, _as_judged(stored, description), description.config.view, found)
    checkpoint = load_checkpoint(path, code=code)
    seen = _as_judged(stored, checkpoint)
    check_fit(checkpoint, seen)
    said = _asked(checkpoint, seen, top, device)
    if known is not None and not reading.changed() and all(one.reconstruction is None for one in said):
        keep(path.parent, known[1], _to_keep(said))
    return _looks(stored, seen, checkpoint.config.view, said)


def _basis(
    path: Path, names: Sequence[str], top: float, common: Basis, reading: Reading
) -> tuple[Description, Basis] | None:
    """A checkpoint's description, and what its looks follow from; None where nobody can say."""
    found = basis_of(
        path, data=None, split="valid", accept_recipe=False, groups="", common=common, reading=reading
    )
    return None if found is None else (found[0], {**found[1], "images": [*names], "top": top})


def _as_judged(stored: Samples, description: Description) -> Samples:
    return as_judged(stored, description.config.view, description.config.objectives)


def _asked(checkpoint: Checkpoint, seen: Samples, top: float, device: torch.device | str) -> list[_Said]:
    inputs = Inputs(tuple(map(Path, seen.names)), seen.images, masks=None)
    return [
        _Said(
            predicted=one.predicted,
            top=top_pixels(one.attribution, top),
            reconstruction=one.reconstruction,
        )
        for one in explain(checkpoint, inputs, device=device)
    ]


def _looks(stored: Samples, seen: Samples, view: View, said: Sequence[_Said]) -> tuple[Look, ...]:
    return tuple(
        Look(shown=one, image=as_picture(image), **vars(answer))
        for one, image, answer in zip(shown(stored, view), seen.images, said, strict=True)
    )


def _to_keep(said: Sequence[_Said]) -> list[dict[str, Any]]:
    """Plain values of which `_from_kept` makes the same again."""
    return [asdict(_Kept(predicted=one.predicted, top=_packed(one.top))) for one in said]


def _from_kept(found: Any, side: int, images: int) -> list[_Said] | None:
    """What a network said of so many images of (side, side), or None where what was kept is not that."""
    try:
        ones: tuple[_Kept, ...] = rebuilt(tuple[_Kept, ...], found)
        said = [_Said(predicted=one.predicted, top=_unpacked(one.top, side)) for one in ones]
    except ValueError:
        return None
    return said if len(said) == images else None


def _packed(marked: NDArray[np.bool_]) -> str:
    return base64.b64encode(np.packbits(marked).tobytes()).decode()


def _unpacked(text: str, side: int) -> NDArray[np.bool_]:
    """Of what `_packed` made of (side, side) (raises ValueError where it is of another size)."""
    packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    if packed.size != -(-(side**2) // 8):
        raise ValueError(f"{packed.size} bytes are no map of {side} x {side} px")
    return np.unpackbits(packed, count=side**2).reshape(side, side).astype(bool)
