"""Images that carry a planted shortcut, beside their twins without it, as a network sees them.

Shapes: N images, C channels, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, tensor

from activmask.data.dataset import CARD_FILE, Dataset, load_samples, read_card, read_dataset
from activmask.data.planting.planting import CARD_ENTRY, ToldDose, told_class, told_dose
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
    dose: ToldDose | None = None
    """By which share it lies on training images; None where that is not told."""


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
    if told_class(read_card(root)) is None:
        return None
    found = pairs_as_stored(read_dataset(root), stored, _classes(checkpoint))
    if found is None:
        return None
    config = checkpoint.config
    beside = replace(stored, images=found.twins, masks=found.masks, has_mask=found.has_mask)
    twins = split_as_judged(
        replace(stored, images=beside.images),
        config.view,
        config.objectives,
        seed=checkpoint.seed,
        split=split,
    )
    return replace(found, twins=twins.images, masks=at_network_size(beside, config.view).masks)


def pairs_as_stored(dataset: Dataset, samples: Samples, classes: Sequence[str]) -> Pairs | None:
    """What was planted on some images of a data set, as it stores them; None where its card says nothing.

    Args:
        dataset: the data set.
        samples: the images, by their names.
        classes: names of the classes 0, 1, ...

    Raises:
        DataError: the data set is broken, or tells of another class.
    """
    card = dataset.card
    name = told_class(card)
    if name is None or not dataset.twin_file_names:
        return None
    places = {file: row for row, file in enumerate(dataset.file_names)}
    beside = load_samples(
        replace(
            dataset,
            file_names=dataset.twin_file_names,
            mask_file_names=dataset.shortcut_mask_file_names,
        ),
        [places[file] for file in samples.names],
    )
    return Pairs(
        shortcut=str(card[CARD_ENTRY].get("shortcut", "shortcut")),
        number=_number(classes, name, card[CARD_ENTRY].get("class"), dataset.root),
        name=name,
        carries=_differ(samples.names, beside.names),
        twins=beside.images,
        masks=beside.masks,
        has_mask=beside.has_mask,
        dose=told_dose(card),
    )


def _classes(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Their names, or their numbers where the run knows no names."""
    return known_classes(checkpoint) or tuple(map(str, range(checkpoint.classes)))


def _number(classes: Sequence[str], name: str, told: object, root: Path) -> int:
    """The number of the class, by its name, else as the card tells."""
    if name in classes:
        return classes.index(name)
    if not (isinstance(told, int) and 0 <= told < len(classes)):
        raise DataError(
            f"{PATH} tells of a shortcut in a class that the network does not know",
            path=root / CARD_FILE,
            expected=f"a class from 0 to {len(classes) - 1}",
            found=repr(told),
            advice="plant it anew",
        )
    return told


def _differ(names: tuple[str, ...], twins: tuple[str, ...]) -> Tensor:
    return tensor([name != twin for name, twin in zip(names, twins, strict=True)])
