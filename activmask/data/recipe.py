"""What a data set's card says of how a file became a tensor, and how its classes are called."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activmask.data.dataset import CARD_FILE, CHANNELS_ENTRY, Dataset, read_card
from activmask.data.files.intensities import card_intensity
from activmask.ground.errors import PATH, DataError

Recipe = dict[str, Any]
"""A card's entries that decide how a raw file becomes an image and a mask, and the stored size in px."""

OWN = "recipe"
"""The entry of a card under which a source keeps whatever else it decided; its reader is told."""

MOST_LETTERS = 200
"""Of a data set's name or title."""

_DECISIVE = (
    "source",
    "modality",
    "layout",
    "channel",
    "channels",
    "labels",
    "declared",
    "window",
    "orientation",
    "intensity",
    "crop",
    "colour",
    "resized_to",
    "mask_reading",
    "bit_depth",
    "fit",
    CHANNELS_ENTRY,
    "formats",
    "mask_labels",
    OWN,
)
_COMPARED = ("source", "intensity", "window", "labels", "channel", "modality", "orientation", "crop", OWN)
"""What two sets of images must have in common for a network of one to be asked about the other.

How masks are read is each set's own affair, and so is what became of colours in a set of grey images:
grey is grey. How pictures that are not square became so is not compared either: of square ones it is of
no account.
"""


def recipe_of(dataset: Dataset) -> Recipe:
    """The recipe of a data set on disk; only its size where it has no card."""
    return {**card_recipe(dataset.card), "height": dataset.height, "width": dataset.width}


def card_recipe(card: Mapping[str, Any]) -> Recipe:
    """The recipe that a card tells, the stored size included where it does."""
    recipe = {name: card[name] for name in (*_DECISIVE, "height", "width") if name in card}
    if "made_by" in card and "source" not in card:
        recipe["source"] = "synthetic"
    if recipe.get("source") in {"xray", "folder"}:
        recipe["intensity"] = card_intensity(card)
    return recipe


def card_benchmark(card: Mapping[str, Any]) -> dict[str, Any]:
    """How a card says that the synthetic benchmark was drawn; empty of other data."""
    drawn = card.get("spec")
    return drawn if isinstance(drawn, dict) and card_recipe(card).get("source") == "synthetic" else {}


def recipe_differences(own: Recipe, other: Recipe) -> list[str]:
    """In what another recipe makes other images of a file, a clause each; nothing where one is unknown."""
    names = _COMPARED if "source" in own and "source" in other else ()
    found = [
        f"{name} is {_shown(other.get(name))}, the run's {_shown(own.get(name))}"
        for name in names
        if _canonical(name, own.get(name)) != _canonical(name, other.get(name))
    ]
    sizes = [(recipe.get("height"), recipe.get("width")) for recipe in (own, other)]
    if _channels(own) != _channels(other):
        found.append(f"images are {_channels(other)}, the run's {_channels(own)}")
    if None not in (*sizes[0], *sizes[1]) and sizes[0] != sizes[1]:
        found.append(f"images are stored at {_side(sizes[1])}, the run's at {_side(sizes[0])}")
    return found


def _canonical(name: str, value: Any) -> Any:
    if name == "channel":
        return value or 0
    return value.casefold() if isinstance(value, str) else value


def _channels(recipe: Recipe) -> str:
    return "in colour" if recipe.get(CHANNELS_ENTRY) == 3 else "grey"


def _shown(value: Any) -> str:
    return "not told" if value is None else json.dumps(value, ensure_ascii=False)


def _side(size: tuple[Any, Any]) -> str:
    return f"{size[1]} x {size[0]} px"


def told_name(card: Mapping[str, Any], entry: str = "name") -> str:
    """What a card calls its data set, as `name` or `title`: foreign text, empty where it does not."""
    found = card.get(entry)
    return found.strip()[:MOST_LETTERS] if isinstance(found, str) else ""


def called(place: str) -> str:
    """What tables call the data set at a place: its own name, else the place itself."""
    try:
        return told_name(read_card(Path(place))) or place
    except DataError:
        return place


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """The names of classes 0, 1, ... that a data set's card gives; empty where it gives none.

    Of labels that do not exclude each other, theirs.

    Raises:
        DataError: the card contradicts the table or itself.
    """
    if dataset.label_names:
        return dataset.label_names
    path, count = dataset.root / CARD_FILE, int(dataset.labels.max()) + 1
    names = card_class_names(dataset.card, path)
    if names and len(names) != count:
        raise DataError(
            f"{PATH} names {len(names)} classes ({', '.join(names)}), but metadata.csv has {count}",
            path=path,
            advice="mend one of the two",
        )
    return names


def called_classes(dataset: Dataset) -> tuple[str, ...]:
    """What to call classes 0, 1, ...: by their names, or by their numbers where the card gives none.

    Raises:
        DataError: the card contradicts the table or itself.
    """
    return class_names(dataset) or tuple(map(str, range(int(dataset.labels.max()) + 1)))


def card_class_names(card: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The names that a card gives to classes 0, 1, ..., whether by {name: number} or {number: name}.

    Args:
        card: What it says.
        path: Of the card, for messages.

    Raises:
        DataError: names or numbers that repeat or leave a gap.
    """
    classes = card.get("classes")
    if not classes:
        return ()
    pairs = list(classes.items()) if isinstance(classes, dict) else []
    if all(isinstance(number, int) for _, number in pairs):
        numbered = {number: str(name) for name, number in pairs}
    elif all(isinstance(name, str) and re.fullmatch("[0-9]{1,9}", number) for number, name in pairs):
        numbered = {int(number): name for number, name in pairs}
    else:
        numbered = {}
    names = tuple(numbered[number] for number in sorted(numbered))
    if not pairs or sorted(numbered) != list(range(len(pairs))) or len(set(names)) != len(names):
        raise DataError(
            "classes must give each class a name of its own and a number 0, 1, ...",
            path=path,
            found=_shown(classes)[:200],
            advice="mend or remove it",
        )
    return names


def matched_classes(own: Sequence[str], other: Sequence[str], where: str) -> list[int]:
    """For each class of another data set, the number that a run gives to the class of that name.

    Args:
        own: The run's class names.
        other: The other's.
        where: What the other is called in messages.

    Raises:
        DataError: a name that only one of them has.
    """
    if set(own) != set(other):
        strangers = [name for name in other if name not in own]
        missing = [name for name in own if name not in other]
        told = [f"{_listed(strangers)} unknown to the run"] if strangers else []
        told += [f"{_listed(missing)} not in it"] if missing else []
        raise DataError(
            f"{PATH} has the classes {_listed(other)}, but the network knows {_listed(own)} "
            f"({', '.join(told)})",
            path=where,
            advice="evaluate it on data with the same classes, or rename them alike",
        )
    return [list(own).index(name) for name in other]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
