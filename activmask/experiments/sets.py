"""The data sets that a grid brings along: where their images come from, and what is planted on them.

A grid says so beside the axis whose values name their folders:

    [sets."Digits"]
    of = "digits"
    train = 90
    plant = { shortcut = "tag", of_class = "8", share = 0.95, valid_share = 0.95 }

`of` is `crosses` (the synthetic benchmark's, without its box), `digits` (scikit-learn's scans) or `msd` (a
task of the Medical Segmentation Decathlon, whose folder the user has); further keys are settings of what
makes these, `plant` those of `Planting`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from activmask.data.dataset import TABLE_FILE, read_dataset
from activmask.data.planting.plant import Planted, plant
from activmask.data.planting.planting import CARD_ENTRY, Planting, check_settings, others_of, shares_of
from activmask.data.sources.msd.prepare import prepare_msd
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.experiments.digit_scans import write_digit_scans
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.nearest import nearest
from activmask.ground.progress import ItemsDone


@dataclass(frozen=True, kw_only=True)
class SetRecipe:
    """How a data set comes about."""

    of: str
    """Where its images come from, a name in `MAKERS`."""
    settings: Mapping[str, Any]
    """Of what makes these."""
    planting: Planting

    @property
    def asks_folder(self) -> bool:
        """Whether its images are the user's, in a folder that only the user knows."""
        return self.of == "msd"


def _crosses(out: Path, _: Path | None, settings: Mapping[str, Any]) -> None:
    make_synthetic(SyntheticSpec(**{**settings, "distractor": False}), out)


def _digits(out: Path, _: Path | None, settings: Mapping[str, Any]) -> None:
    write_digit_scans(out, **settings)


def _msd(out: Path, source: Path | None, settings: Mapping[str, Any]) -> None:
    assert source is not None
    prepare_msd(source, out, **settings)


MAKERS: dict[str, Callable[[Path, Path | None, Mapping[str, Any]], None]] = {
    "crosses": _crosses,
    "digits": _digits,
    "msd": _msd,
}
"""What writes a data set into a folder, given that of its source if it has one, and settings."""


def read_sets(table: Mapping[str, Any], where: str) -> dict[str, SetRecipe]:
    """Read the `[sets]` part of a grid, by the label of the value whose folder each fills.

    Raises:
        UsageError: what makes no data set.
    """
    return {label: _recipe(label, dict(entry), where) for label, entry in table.items()}


def _recipe(label: str, entry: dict[str, Any], where: str) -> SetRecipe:
    of, planted = entry.pop("of", ""), entry.pop("plant", {})
    if of not in MAKERS:
        raise UsageError(
            f"sets.{label}: images are of {nearest(str(of), MAKERS)}", path=where, found=repr(of)
        )
    known = [one.name for one in fields(Planting)]
    for name in planted:
        if name not in known:
            raise UsageError(f"sets.{label}: there is no {name} to plant; {nearest(name, known)}", path=where)
    try:
        planting = Planting(**planted)
    except TypeError as error:
        raise UsageError(
            f"sets.{label}: what is planted needs a shortcut, of_class and share", path=where
        ) from error
    check_settings(planting)
    return SetRecipe(of=of, settings=entry, planting=planting)


def is_dataset(folder: Path) -> bool:
    """Whether there is a data set in a folder."""
    return (folder / TABLE_FILE).is_file()


def make_set(
    recipe: SetRecipe, place: Path, source: Path | None = None, *, progress: ItemsDone | None = None
) -> Planted:
    """Make the images, plant the shortcut on them, and keep the planted set.

    Args:
        recipe: of the set.
        place: its folder, which is not there yet.
        source: the folder of the user's images, where the recipe asks for one.
        progress: is told of images planted, and of how many.

    Raises:
        DataError: there is no source, or it is broken; the place is taken or cannot be written.
        UsageError: settings that do not exist, or do not fit.
    """
    if recipe.asks_folder and source is None:
        raise UsageError(f"the images of this set are your own ({recipe.of}); name their folder")
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain"
        try:
            MAKERS[recipe.of](plain, source, recipe.settings)
        except TypeError as error:
            raise UsageError(f"the set in {PATH} cannot be made ({error})", path=place) from error
        place.parent.mkdir(parents=True, exist_ok=True)
        return plant(plain, place, recipe.planting, progress=progress)


def check_set(recipe: SetRecipe, place: Path) -> None:
    """Refuse a data set that carries another shortcut than the grid plants (raises DataError)."""
    told = read_dataset(place).card.get(CARD_ENTRY)
    asked = recipe.planting
    wanted = {
        "shortcut": asked.shortcut,
        "shares": shares_of(asked),
        "other_shares": others_of(asked),
        "seed": asked.seed,
    }
    found = {name: told.get(name) for name in wanted} if isinstance(told, dict) else {}
    if found != wanted:
        raise DataError(
            f"the data set {PATH} is not the one that this grid makes",
            path=place,
            found=f"{found or 'nothing'} planted on it",
            advice=f"expected {wanted}; move it away, and it is made anew, or name it by another name",
        )
