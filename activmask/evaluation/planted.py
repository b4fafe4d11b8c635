"""Images that carry a planted shortcut, beside their twins without it, as a network sees them.

Shapes: N images, C channels, H x W pixels.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, tensor

from activmask.data.dataset import CARD_FILE, load_samples, read_card, read_dataset
from activmask.data.planting.planting import CARD_ENTRY, told_class
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY
from activmask.data.view import at_network_size
from activmask.ground.errors import PATH, DataError
from activmask.runs.checkpoint import Checkpoint
from activmask.training.feed.known_recipe import known_classes
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import of_checkpoint, own_place


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """A split, and the same images without what was planted on some of them."""

    shortcut: str
    """What was planted: `tag`, `blur`, ..."""
    number: int
    """The network's number of the class that it was planted in."""
    name: str
    """The name of that class."""
    carries: Tensor
    """bool (N,), on which images it lies."""
    twins: Tensor
    """float (N, C, H, W), the images without it."""
    masks: Tensor
    """bool (N, 1, H, W), True where it lies; all True where it has no mask."""
    has_mask: Tensor
    """bool (N,), False where it has none: on images without it, and where it changes the whole image."""


def planted_pairs(checkpoint: Checkpoint, data: str | None, stored: Samples, split: str) -> Pairs | None:
    """What was planted on the images that a checkpoint is judged on; None where the card says nothing.

    Args:
        checkpoint: the network and its run.
        data: the data set's folder, or `synthetic`; None for the run's own.
        stored: the images, as stored and in the network's numbering of classes.
        split: they are of.

    Raises:
        DataError: the data set is broken.
    """
    if IN_MEMORY in {data, checkpoint.config.source.data if data is None else data}:
        return None
    root = own_place(of_checkpoint(checkpoint)) if data is None else Path(data)
    card = read_card(root)
    name = told_class(card)
    if name is None:
        return None
    dataset = read_dataset(root)
    if not dataset.twin_file_names:
        return None
    places = {file: row for row, file in enumerate(dataset.file_names)}
    rows = [places[file] for file in stored.names]
    beside = load_samples(
        replace(
            dataset,
            file_names=dataset.twin_file_names,
            mask_file_names=dataset.shortcut_mask_file_names,
        ),
        rows,
    )
    config = checkpoint.config
    twins = split_as_judged(
        replace(stored, images=beside.images),
        config.view,
        config.objectives,
        seed=checkpoint.seed,
        split=split,
    )
    return Pairs(
        shortcut=str(card[CARD_ENTRY].get("shortcut", "shortcut")),
        number=_number(checkpoint, name, card[CARD_ENTRY].get("class"), root),
        name=name,
        carries=_differ(stored.names, beside.names),
        twins=twins.images,
        masks=at_network_size(beside, config.view).masks,
        has_mask=beside.has_mask,
    )


def _number(checkpoint: Checkpoint, name: str, told: object, root: Path) -> int:
    """The network's number of the class, by its name, else as the card tells."""
    classes = known_classes(checkpoint)
    if name in classes:
        return classes.index(name)
    if not (isinstance(told, int) and 0 <= told < checkpoint.classes):
        raise DataError(
            f"{PATH} tells of a shortcut in a class that the network does not know",
            path=root / CARD_FILE,
            expected=f"a class from 0 to {checkpoint.classes - 1}",
            found=repr(told),
            advice="plant it anew",
        )
    return told


def _differ(names: tuple[str, ...], twins: tuple[str, ...]) -> Tensor:
    return tensor([name != twin for name, twin in zip(names, twins, strict=True)])
