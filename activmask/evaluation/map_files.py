"""Heat maps made elsewhere, scored file by file against the masks of a data set.

Only one map is in memory at a time, and nothing loads PyTorch.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activmask.data.dataset import read_dataset
from activmask.data.dilation import grown
from activmask.data.files.heat_maps import read_heat_map
from activmask.data.files.images import read_plain_mask
from activmask.evaluation.map_results import ImageScores, Options, ScoredFolder, notes_on, px, summary_of
from activmask.evaluation.map_scores import (
    ALL_METRICS,
    counting_part,
    is_blank,
    unsaid_sign,
)
from activmask.evaluation.map_targets import (
    Target,
    find_maps,
    of_split,
    targets_in,
    targets_of,
)
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.progress import ItemsDone


def score_maps(
    maps: Path,
    *,
    data: Path | None = None,
    masks: Path | None = None,
    options: Options | None = None,
    done: ItemsDone | None = None,
) -> ScoredFolder:
    """Score every heat map of a folder against the mask of the image of its name.

    Images without a mask, or with one that is empty or covers everything, cannot be scored and need no map.

    Args:
        maps: the folder.
        data: a data set's folder.
        masks: in its place, a folder of masks.
        options: how maps are read and compared.
        done: told of each image.

    Raises:
        UsageError: both or none of data and masks, or maps with negative values without a sign.
        DataError: the data set or a mask is broken, or no image can be scored.
    """
    if (data is None) == (masks is None):
        raise UsageError(
            "maps are scored against data, which is a data set's folder, or masks: give one of them"
        )
    options = options or Options()
    against = data if data is not None else masks
    assert against is not None
    everything = targets_in(against) if data is None else targets_of(read_dataset(against, multi_label=True))
    chosen, split = of_split(everything, options.split)
    found = find_maps(maps, everything)
    images = []
    for number, target in enumerate(chosen, 1):
        images.append(_scored(target, found.maps.get(target.name), options))
        if done is not None:
            done(number, len(chosen))
    signed = [one for one in images if one.negative]
    if signed and options.sign is None:
        raise unsaid_sign(len(signed), sum(one.stored is not None for one in images))
    scores = summary_of(images, options.seed)
    if not scores.n and not any(one.unreadable for one in images):
        raise DataError(
            f"none of the {len(chosen)} images can be scored: their masks are missing, empty or full",
            path=against,
        )
    return ScoredFolder(
        maps=maps,
        against=against,
        split=split,
        options=options,
        scores=scores,
        images=tuple(images),
        notes=tuple(notes_on(images, found, {one.name for one in chosen})),
    )


def _scored(target: Target, path: Path | None, options: Options) -> ImageScores:
    image = ImageScores(target=target, path=path)
    if target.mask is None:
        return replace(image, left_out="no mask")
    inside = _mask(target, options.mask_blur)
    image = replace(image, mask_share=float(inside.mean()))
    if not inside.any() or inside.all():
        return replace(image, left_out="mask covers everything" if inside.any() else "mask is empty")
    if path is None:
        return replace(image, left_out="no map", unreadable=f"the image {target.name} has no map")
    try:
        stored = read_heat_map(path, nifti_axes=options.nifti_axes, size=inside.shape)
        _check_size(path, stored, inside, resize=options.resize)
    except DataError as error:
        return replace(image, left_out="map unreadable", unreadable=str(error))
    image = replace(
        image,
        negative=bool((stored < 0).any()),
        stored=stored.shape,
        resized=stored.shape[1:] != inside.shape,
    )
    if image.negative and options.sign is None:
        return image
    counted = _fitted(counting_part(stored, options.sign).mean(axis=0), inside.shape)
    return replace(image, blank=bool(is_blank(counted[None])[0]), values=_values(counted, inside))


def _mask(target: Target, blur: float) -> NDArray[np.bool_]:
    assert target.mask is not None
    inside = read_plain_mask(target.mask)
    if blur and target.native is not None and 0 in target.native:
        raise DataError(
            f"mask_blur {blur:g} counts px of the original slice, but the data set, of an earlier version, "
            "does not say of how many px it was; prepare it anew or set mask_blur to 0",
            path=target.mask,
        )
    return grown(inside, blur, target.native)


def _check_size(path: Path, stored: NDArray[np.float64], inside: NDArray[np.bool_], *, resize: bool) -> None:
    if stored.shape[1:] != inside.shape and not resize:
        raise DataError(
            f"{PATH} is {px(stored.shape[1:])}, but its image is {px(inside.shape)} (width x height)",
            path=path,
            advice="ask for resize, or write maps of the images' size",
        )


def _fitted(values: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """A map at the size of its image, bilinearly, and smoothed first where it shrinks."""
    if values.shape == size:
        return values
    if values.min() == values.max():
        # Interpolation would break the ties by its rounding.
        return np.full(size, values.flat[0])
    from skimage.transform import resize

    return np.asarray(resize(values, size, order=1, mode="edge", anti_aliasing=True, preserve_range=True))


def _values(counted: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    found = {name: metric(counted[None], inside[None]) for name, metric in ALL_METRICS.items()}
    return {name: (float(one.values[0]), float(one.chance[0])) for name, one in found.items()}
