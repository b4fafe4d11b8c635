"""Which images a network is asked about: files, folders, data sets, or a split of its own data."""

from collections.abc import Sequence
from pathlib import Path

from activmask.data.settings import IN_MEMORY
from activmask.ground.errors import DataError, UsageError
from activmask.runs.checkpoint import Checkpoint
from activmask.saliency.choices import AskedSplit
from activmask.saliency.inputs import image_files
from activmask.saliency.known_images import images_of, is_data_set
from activmask.training.feed.trained_data import of_checkpoint, own_table


def named_images(
    places: Sequence[Path], split: AskedSplit | None = None, *, volumes: bool = False
) -> list[Path]:
    """The files that places stand for, each once: a data set is its table's images, other folders their own.

    Args:
        places: files and folders.
        split: of the data sets; None takes all of their images.
        volumes: whether folders stand for the volumes in them.

    Raises:
        DataError: a place that does not exist, holds no image or none of the split, or is a broken data set.
        UsageError: a split of places that are no data sets.
    """
    found: list[Path] = []
    for place in places:
        if is_data_set(place):
            found += images_of(place, split)
        elif split is not None:
            raise UsageError(
                "a split is of data sets",
                found=place,
                advice="give a folder with metadata.csv, or leave the images out for the network's own data",
            )
        else:
            found += image_files([place], volumes=volumes)
    return list(dict.fromkeys(found))


def own_images(checkpoint: Checkpoint, split: AskedSplit) -> tuple[list[Path], tuple[str, ...]]:
    """The images of a split of the data that a network was trained on, as training wrote it down.

    Returns:
        The files, and sentences on what could not be verified.

    Raises:
        DataError: the data are gone, broken, changed, or were drawn in memory.
    """
    if checkpoint.config.source.data == IN_MEMORY:
        raise DataError(
            f"the images of {checkpoint.path} were drawn in memory, so there are no files to explain",
            advice="name images, or a data set such as make-synthetic writes",
        )
    table = own_table(of_checkpoint(checkpoint))
    rows = [row for name, rows in table.rows.items() if split in {"all", name} for row in rows.tolist()]
    root = table.dataset.root
    return [root / table.dataset.file_names[row] for row in rows], table.notes
