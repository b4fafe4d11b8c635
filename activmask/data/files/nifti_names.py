"""How NIfTI files are named."""

import re
from pathlib import Path

SUFFIXES = (".nii", ".nii.gz")

CHANNEL = re.compile(r"_([0-9]{4})\.nii(\.gz)?$", re.ASCII | re.IGNORECASE)
"""How nnU-Net names the files of one case."""


def is_nifti(path: Path) -> bool:
    """Whether a file is named as NIfTI files are."""
    return path.name.lower().endswith(SUFFIXES)


def volume_name(path: Path) -> str:
    """A NIfTI file's name without its ending."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def case_name(path: Path) -> str:
    """A NIfTI file's name without its ending and without nnU-Net's number of its channel."""
    return volume_name(Path(CHANNEL.sub(".nii", path.name)))
