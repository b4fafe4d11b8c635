"""What is true of the chest X-rays of NIH ChestX-ray14 and PadChest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from activmask.data.source import DataSource, PresetValues

if TYPE_CHECKING:
    from activmask.data.files.intensities import Intensity
    from activmask.data.raw_files import Preparing, RawImage


def _is_dicom(path: Path) -> bool:
    from activmask.data.files.dicom_mark import is_dicom

    return path.is_file() and is_dicom(path)


def _stems(path: Path) -> tuple[str, ...]:
    # Archives name files by numbers such as 1.2.840.10008, of which the last is no ending.
    names = (path.stem,) if path.suffix.lower() == ".dcm" else (path.name, path.stem)
    return tuple(dict.fromkeys(names))


def _read(how: Preparing, path: Path, mask: Path | None, _number: int | None) -> RawImage:
    from activmask.data.sources.xray.raw import read_original

    return read_original(how, path, mask)


def _stored_range(how: Preparing, path: Path) -> Intensity:
    from activmask.data.sources.xray.raw import stored_range

    return stored_range(how, path)


XRAY = DataSource(
    command="prepare-xray",
    images="X-rays",
    presets={
        "xray": PresetValues(
            settings={
                "data": "data/xray",
                "split_policy": "site-correlated",
                "split_ratio": "50/25/25",
                "mask": "circle",
                "mask_blur": 0.0,
                "image_size": 128,
                "recon_loss": "mse",
                "lr": 1e-3,
                "epochs": 100,
            },
            figure="figure-5a",
        )
    },
    suffixes=(".dcm",),
    stems=_stems,
    known_by_content=_is_dicom,
    read=_read,
    stored_range=_stored_range,
)
