"""What is true of the Medical Segmentation Decathlon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from activmask.data.files.nifti_names import SUFFIXES, case_name, volume_name
from activmask.data.source import DataSource, PresetValues
from activmask.data.sources.msd.organs import CROP_MARGIN, ORGANS

if TYPE_CHECKING:
    from activmask.data.files.intensities import Intensity
    from activmask.data.raw_files import Preparing, RawImage

_PAPER: dict[str, Any] = {
    "split_policy": "subject",
    "split_ratio": "30/30/40",
    "train_images": 128,
    "valid_images": 256,
    "test_images": 256,
    "image_size": 100,
    "augment": "crop-flip",
    "evaluate_view": "whole",
    "recon_loss": "mse",
}
"""What the paper's section 5 does alike for all organs."""


def _read(how: Preparing, path: Path, mask: Path | None, number: int | None) -> RawImage | None:
    from activmask.data.sources.msd.raw import read_slice

    return None if number is None else read_slice(how, path, mask, number)


def _stored_range(how: Preparing, path: Path) -> Intensity:
    from activmask.data.sources.msd.raw import stored_range

    return stored_range(how, path)


MSD = DataSource(
    command="prepare-msd",
    images="slices of volumes",
    presets={
        name: PresetValues(
            settings={**_PAPER, "data": f"data/{name}", "mask_blur": organ.mask_blur, "lr": organ.lr},
            figure=organ.figure,
        )
        for name, organ in ORGANS.items()
    },
    native_slices=True,
    margin=CROP_MARGIN,
    suffixes=SUFFIXES,
    volumes=True,
    stems=lambda path: (volume_name(path), case_name(path)),
    read=_read,
    stored_range=_stored_range,
)
