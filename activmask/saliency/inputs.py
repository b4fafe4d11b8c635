"""The images and masks to explain, read from files and made as the network sees them.

Shapes: N images, C channels, H x W pixels of the network's size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.data.dataset import REQUIRED, TABLE_FILE, native_sides
from activmask.data.files.images import CHANNELS, SUFFIXES, channels_first
from activmask.data.files.tables import CsvRow, read_table
from activmask.data.masks import circle
from activmask.data.raw_files import Preparing, Sides
from activmask.data.samples import Samples
from activmask.data.sources import SOURCES
from activmask.data.view import dilates
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError, DataError, UsageError
from activmask.ground.listed import listed
from activmask.ground.places import real
from activmask.objectives.chosen import shown_always
from activmask.runs.checkpoint import Checkpoint
from activmask.saliency.known_images import Known
from activmask.saliency.raw_images import own_source, preparing, read_as_stored, source_that_knows, stems_of
from activmask.training.feed.known_recipe import known_classes, known_recipe
from activmask.training.feed.sources import as_judged

Failed = Callable[[Path, ActivmaskError], None]
"""Is told which file cannot be explained, and why."""

PICTURE_SUFFIX = ".saliency.png"
"""What the pictures of this package are called, so that a folder of images can hold them."""


@dataclass(frozen=True)
class Inputs:
    """What a network is asked to explain."""

    paths: tuple[Path, ...]
    """The image files."""
    images: Tensor
    """float32 (N, C, H, W) in [0, 1]."""
    masks: Tensor | None
    """bool (N, H, W), dilated as in training, all True of an image without one; None without masks."""
    has_mask: tuple[bool, ...] = ()
    """(N,), whether each image has a mask; empty where all of them have or none has."""
    labels: tuple[int | None, ...] = ()
    """(N,), the class of each image as the network numbers them, None where it is not known; empty where
    none is."""
    slice_number: int | None = None
    """Of the volumes that the images were cut from."""
    notes: tuple[str, ...] = ()
    """Sentences on what is not known of how the network's images were made, and on images that it sees
    as it saw none in training."""


def _image_suffixes() -> tuple[str, ...]:
    """How files end that hold one image each."""
    raw = (suffix for one in SOURCES.values() if not one.volumes for suffix in one.suffixes)
    return *SUFFIXES, *raw


def _volume_suffixes() -> tuple[str, ...]:
    """How files end that hold many."""
    return tuple(suffix for one in SOURCES.values() if one.volumes for suffix in one.suffixes)


def _is_volume(path: Path) -> bool:
    known = source_that_knows(path)
    return known is not None and known.volumes


def image_files(paths: Sequence[Path], *, volumes: bool = False) -> list[Path]:
    """Files as they are named, folders as the images directly in them by name.

    Args:
        paths: files and folders.
        volumes: whether folders stand for the volumes in them; without images they do so anyway.

    Raises:
        DataError: a path that does not exist, or a folder without images.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _images_in(path, volumes=volumes)
        elif path.exists():
            found.append(path)
        else:
            raise DataError(
                f"{PATH} does not exist", path=path, advice="give an image file or a folder of images"
            )
    return found


def _images_in(folder: Path, *, volumes: bool) -> list[Path]:
    files = [
        path
        for path in sorted(folder.iterdir())
        # macOS leaves a file ._NAME beside each NAME in archives.
        if not path.name.startswith(".")
        and not path.name.endswith(PICTURE_SUFFIX)
        # A link that leads nowhere is told as what it is.
        and (path.is_file() or path.is_symlink())
    ]
    many = [path for path in files if path.name.lower().endswith(_volume_suffixes())]
    images = [path for path in files if path.suffix.lower() in _image_suffixes()]
    found = many if volumes else images or many
    if not found:
        suffixes = ", ".join(_volume_suffixes() if volumes else (*_image_suffixes(), *_volume_suffixes()))
        raise DataError(
            f"{PATH} holds no {'volume' if volumes else 'image'}: expected files ending in {suffixes}",
            path=folder,
            advice="name the files themselves",
        )
    return found


def read_inputs(
    checkpoint: Checkpoint,
    paths: Sequence[Path],
    mask: Path | None = None,
    *,
    slice_number: int | None = None,
    known: Mapping[Path, Known] | None = None,
    failed: Failed | None = None,
) -> Inputs:
    """Read images, and their masks if any, as evaluation shows them to the network.

    A file is prepared by the recipe that the checkpoint carries of its data set. An image of the
    stored size, or of the network's, is taken as it is. X-rays of any other size, and DICOM files,
    known by their content, are scaled, cropped to their middle square and resized as
    `prepare_xray` does; originals of a folder that was resized are resized as `prepare_folder`
    does; of a NIfTI file one axial slice is cut as `prepare_msd` does. Their masks, which have the
    size of the file, are treated alike; of a label volume the data set's labels count. Anything
    else is refused. Where the network sees less than what is stored (`image_size`), a stored image
    is then seen as the run's `evaluate_view` says, and masks are dilated before, as in evaluation.
    A mask drawn on a stored slice is dilated by as many of its px as the table of its data set
    says, so such an image has to lie there. A run whose masks are circles needs no mask file.

    Args:
        checkpoint: whose network will see them.
        paths: image files.
        mask: a mask file for a single image, or a folder in which each image's mask has its name.
        slice_number: of the axial slice of NIfTI files, from the patient's feet, counted from 0.
        known: what data sets say of the images, see `known_images`; their masks are taken where none is
            given, unless the run's are circles.
        failed: is told of each file that cannot be explained, and the others are read; left out, the
            first one is raised.

    Raises:
        DataError: an image or mask is unreadable, of another size, or nothing that the network's data
            set was made of; or a mask is missing.
        CheckpointError: a network of other than 1 or 3 channels.
        UsageError: one mask file for several images, a slice of what is not NIfTI, or NIfTI
            without one.
    """
    _check_slice(paths, slice_number)
    if checkpoint.channels not in CHANNELS:
        raise CheckpointError(
            f"the checkpoint's network takes {checkpoint.channels} channels, but image files are read as "
            "one grey channel, or as red, green and blue; give a checkpoint of such images"
        )
    if mask is not None and not mask.is_dir() and len(paths) > 1:
        raise UsageError(
            f"the mask {PATH} is one file for {len(paths)} images",
            path=mask,
            advice="give a folder that holds a mask of each image's name",
        )
    told = known_recipe(checkpoint)
    how = preparing(checkpoint, told.recipe)
    images_known = known or {}
    tables = _Tables()
    read: dict[Path, tuple[Tensor, Tensor | None]] = {}
    for path in paths:
        try:
            own = mask if mask is not None else _known_mask(checkpoint, images_known.get(path))
            read[path] = _read_one(checkpoint, how, path, own, slice_number, tables)
        except (DataError, UsageError) as error:
            if failed is None:
                raise
            failed(path, error)
    images, masks = [image for image, _ in read.values()], [inside for _, inside in read.values()]
    side = checkpoint.image_size
    has_mask = tuple(inside is not None for inside in masks)
    whole = torch.ones(side, side, dtype=torch.bool)
    names = known_classes(checkpoint) if images_known else ()
    labels = [images_known[path].label_among(names) if path in images_known else None for path in read]
    return Inputs(
        paths=tuple(read),
        images=torch.stack(images) if images else torch.zeros(0, checkpoint.channels, side, side),
        masks=torch.stack([whole if one is None else one for one in masks]) if any(has_mask) else None,
        has_mask=() if len(set(has_mask)) < 2 else has_mask,
        labels=() if set(labels) <= {None} else tuple(labels),
        slice_number=slice_number,
        notes=(*told.notes, *(_masking_notes(checkpoint, masks) if masks else ())),
    )


def _known_mask(checkpoint: Checkpoint, known: Known | None) -> Path | None:
    return None if known is None or checkpoint.config.view.mask == "circle" else known.mask


class _Tables:
    """Tables of data sets that are read once, however many of their images are."""

    def __init__(self) -> None:
        self._read: dict[Path, dict[str, CsvRow]] = {}

    def row(self, table: Path, name: str) -> CsvRow | None:
        """The row of a file name; None where there is none, or no table."""
        if table not in self._read:
            rows = read_table(table, REQUIRED) if table.is_file() else []
            self._read[table] = {row["file_name"]: row for row in rows}
        return self._read[table].get(name)


def _masking_notes(checkpoint: Checkpoint, masks: Sequence[Tensor | None]) -> list[str]:
    """What is to be said of images that a network of masked images sees as it never saw one."""
    if not shown_always(checkpoint.config.objectives):
        return []
    whole = sum(inside is None or bool(inside.all()) for inside in masks)
    blank = sum(inside is not None and not inside.any() for inside in masks)
    notes = []
    if whole:
        notes.append(
            f"The network was trained and judged on images that are blank outside their masks; {whole} of "
            f"these {len(masks)} have no mask, or one without an outside, and are shown whole."
        )
    if blank:
        notes.append(
            f"The masks of {blank} of these {len(masks)} images have no inside, so the network, which was "
            "trained on images that are blank outside their masks, sees nothing of them."
        )
    return notes


def _check_slice(paths: Sequence[Path], slice_number: int | None) -> None:
    for path in paths:
        volume = _is_volume(path)
        if volume and slice_number is None:
            raise UsageError(
                f"{PATH} is a volume", path=path, advice="give the number of the axial slice to explain"
            )
        if not volume and slice_number is not None:
            raise UsageError(
                f"{PATH} is no NIfTI volume ({listed(_volume_suffixes(), 'or')}), so it has no slice "
                f"{slice_number}",
                path=path,
                advice="leave the slice out",
            )


def _read_one(
    checkpoint: Checkpoint,
    how: Preparing,
    path: Path,
    mask: Path | None,
    slice_number: int | None,
    tables: _Tables,
) -> tuple[Tensor, Tensor | None]:
    """Image (C, H, W) and mask (H, W) as the network sees them."""
    mask_file = _mask_of(path, mask) if mask is not None and mask.is_dir() else mask
    raw = read_as_stored(how, path, mask_file, slice_number)
    inside = None if raw.inside is None else torch.from_numpy(np.ascontiguousarray(raw.inside))
    pixels, native = raw.pixels, raw.native
    view, objectives = checkpoint.config.view, checkpoint.config.objectives
    if inside is None and view.mask == "circle":
        inside = circle(pixels.shape[0])[0]
    if inside is not None and native is None:
        native = _stored_native(checkpoint, how, path, tables)
    seen = as_judged(_as_samples(path, pixels, inside, native), view, objectives)
    return seen.images[0], None if inside is None else seen.masks[0, 0]


def _stored_native(checkpoint: Checkpoint, how: Preparing, path: Path, tables: _Tables) -> Sides | None:
    """The sides of the slice that the image of a stored one was resized from, by its data set's table."""
    view, source = checkpoint.config.view, own_source(how)
    if not dilates(view) or source is None or not source.native_slices:
        return None
    folder = real(path.parent)
    table, name = folder.parent / TABLE_FILE, f"{folder.name}/{path.name}"
    row = tables.row(table, name)
    native = None if row is None else native_sides(table, row)
    if native is None:
        raise DataError(
            f"{PATH} does not say of how many px the slice of {path.name} was (native_height and "
            f"native_width), by which mask_blur {view.mask_blur:g} is scaled",
            path=table,
            advice=f"explain the volume itself with its label, or an image where {source.command} stored "
            "it, or leave the mask out",
        )
    return native


def _as_samples(path: Path, pixels: np.ndarray, inside: Tensor | None, native: Sides | None) -> Samples:
    mask = torch.ones(pixels.shape[:2], dtype=torch.bool) if inside is None else inside
    return Samples(
        images=torch.from_numpy(np.ascontiguousarray(channels_first(pixels)))[None],
        masks=mask[None, None],
        has_mask=torch.tensor([inside is not None]),
        labels=torch.zeros(1, dtype=torch.int64),
        subjects=(path.name,),
        sites=("",),
        names=(path.name,),
        native=None if native is None else torch.tensor([native]),
    )


def _mask_of(image: Path, folder: Path) -> Path:
    """The file in `folder` that is called like the image, whatever kind of image it is."""
    suffixes = (*(_volume_suffixes() if _is_volume(image) else ()), *_image_suffixes())
    candidates = [
        folder / image.name,
        *(folder / f"{name}{suffix}" for name in stems_of(image) for suffix in suffixes),
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{PATH} holds no mask for {image}: expected {image.name} or {image.stem}.png in it", path=folder
    )
