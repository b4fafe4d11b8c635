"""What was made of a folder of images, and what is to be said of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from activmask.data.duplicates import Duplicates
from activmask.data.files.mask_reading import MaskSurvey
from activmask.data.writer import Summary


@dataclass(frozen=True)
class FolderSummary:
    """What was written, and what was left out."""

    written: Summary
    classes: dict[str, int]
    """The number that each label of the table became; none where labels do not exclude each other."""
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason) of the images left out."""
    empty_masks: int
    """Masks without a pixel inside; their images are stored as having no mask."""
    without_mask: tuple[str, ...]
    """What images are called that are stored without a mask."""
    notes: tuple[str, ...]
    """Sentences on what the images' values, colours and shapes may give away."""
    colours: str
    """How many pictures showed colours, and what became of them, as a sentence."""
    fitted: str
    """How pictures that are not square became so, as a sentence; empty where none did."""
    masks: MaskSurvey
    """Which values the masks hold, and how they were read."""
    volumes: str
    """Which values the label volumes hold and how they were read, as a sentence; empty without any."""
    duplicates: Duplicates
    """Pictures that occur under several subjects."""
    subjects: int
    """How many subjects the images count as."""
    subjects_told: bool
    """Whether the table says whom images show; if not, files do: each one, or each study of DICOM files."""
    unused: Mapping[str, tuple[str, ...]]
    """By role, `subject` or `site`, columns that may have it but were not asked to; see `unused_note`."""
