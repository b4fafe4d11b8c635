"""The data sets of a sweep: which of them it takes, and those that it makes first."""

from pathlib import Path
from typing import TYPE_CHECKING

from .console import err
from .progress import counting

if TYPE_CHECKING:
    from activmask.experiments.grid import Grid


def with_data(grid: "Grid", asked: str | None) -> tuple["Grid", list[str]]:
    """The values of a grid's axis `data` that are asked for, such as `liver=/data/liver,cardiac`.

    A set that the grid makes of a folder of the user's is taken where that folder is given, or where the set
    made of it is there already.

    Returns:
        The grid with the folders that were given, its missing sets made, and the labels that were asked for.
    """
    from activmask.experiments.grid import axis_labels, slug, with_folders
    from activmask.experiments.sets import is_dataset, read_sets

    recipes = read_sets(grid.sets, grid.name)
    if asked is None:
        lacking = [
            label
            for label, recipe in recipes.items()
            if recipe.asks_folder and not is_dataset(Path(grid.axes["data"][label]["data"]))
        ]
        for label in lacking:
            err.print(f"left out: {label}, which is made of a folder of yours; --data {slug(label)}=FOLDER")
        labels, sources = [label for label in grid.axes["data"] if label not in lacking], {}
    else:
        pairs = [entry.partition("=") for entry in asked.split(",")]
        labels, folders = [], {}
        for name, _, place in pairs:
            new = "data" in grid.open and place and slug(name) not in map(slug, grid.axes["data"])
            found = [name] if new else axis_labels(grid, "data", [name])
            labels += found
            folders |= {label: place for label in found if place}
        sources = {
            label: Path(place)
            for label, place in folders.items()
            if label in recipes and recipes[label].asks_folder and not is_dataset(Path(place))
        }
        grid = with_folders(grid, {k: place for k, place in folders.items() if k not in sources})
        # A set that the user names is the user's own.
        recipes = {k: one for k, one in recipes.items() if k not in folders or k in sources}
    for label in labels:
        if label in recipes:
            _make(grid, label, sources.get(label))
    return grid, labels


def _make(grid: "Grid", label: str, source: Path | None) -> None:
    from activmask.experiments.sets import check_set, is_dataset, make_set, read_sets

    recipe, place = read_sets(grid.sets, grid.name)[label], Path(grid.axes["data"][label]["data"])
    if is_dataset(place):
        check_set(recipe, place)
        return
    with counting(f"making {label}") as progress:
        made = make_set(recipe, place, source, progress=progress)
    carry = ", ".join(f"{one.split} {sum(one.planted)} of {sum(one.images)}" for one in made.doses)
    err.print(
        f"made {label} in {place}: {made.written.images} images, on some of them a "
        f"{recipe.planting.shortcut} as a sign of {made.classes[made.number]} ({carry})"
    )
