"""How a network's images were made and how its classes are called, as far as that is known.

Checkpoints carry both. Those of earlier versions do not: for them the card of their data set is
read where it still lies, and a sentence says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activmask.data.dataset import CARD_FILE, read_card
from activmask.data.recipe import Recipe, card_class_names, card_recipe
from activmask.data.settings import IN_MEMORY
from activmask.data.sources.synthetic.drawing import CLASS_NAMES, drawn_recipe
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.runs.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True)
class KnownRecipe:
    """A recipe, and what is to be said of where it comes from."""

    recipe: Recipe
    """Empty where nothing is known."""
    notes: tuple[str, ...]


def known_recipe(checkpoint: Checkpoint) -> KnownRecipe:
    """The recipe that a checkpoint carries, or that the card of its data set tells today.

    Raises:
        DataError: that card is broken.
    """
    if checkpoint.recipe:
        return KnownRecipe(recipe=checkpoint.recipe, notes=())
    if checkpoint.config.source.data == IN_MEMORY:
        size = SyntheticSpec().size
        return KnownRecipe(recipe=drawn_recipe(size, size), notes=())
    data = Path(checkpoint.config.source.data)
    card = read_card(data)
    if card and _still_fits(card, checkpoint):
        note = (
            f"{checkpoint.path} was written by an earlier version and does not carry how its images were "
            f"made; {data / CARD_FILE} tells, as it is now."
        )
        return KnownRecipe(recipe=card_recipe(card), notes=(note,))
    note = (
        f"{checkpoint.path} was written by an earlier version and does not carry how its images were made, "
        f"and {data} has no card.json to tell{' that fits the network' if card else ''}: source, "
        "intensities, window, labels, channel and stored size are not known."
    )
    return KnownRecipe(recipe={}, notes=(note,))


def _still_fits(card: Mapping[str, Any], checkpoint: Checkpoint) -> bool:
    """Whether a card can be of the data that a network was trained on, by the stored size."""
    width, crops = card.get("width"), checkpoint.config.view.image_size > 0
    if not isinstance(width, int):
        return True
    return width >= checkpoint.image_size if crops else width == checkpoint.image_size


def known_classes(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The names of a network's classes 0, 1, ...; empty where none are known.

    Raises:
        DataError: the card of an earlier version's data set is broken.
    """
    if checkpoint.class_names or checkpoint.split_sha256:
        return checkpoint.class_names
    if checkpoint.config.source.data == IN_MEMORY:
        return CLASS_NAMES
    data = Path(checkpoint.config.source.data)
    names = card_class_names(read_card(data), data / CARD_FILE)
    return names if len(names) == checkpoint.classes else ()
