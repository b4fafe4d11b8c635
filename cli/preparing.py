"""What the commands that prepare data sets print alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from activmask.data.settings import Source

from .console import out
from .durations import duration
from .shell import command_line
from .tables import print_table, result_table
from .train_words import setting_words

if TYPE_CHECKING:
    from activmask.data.duplicates import Duplicates
    from activmask.data.mask_shares import MaskShares, Shares

_SHOWN = 10


def print_skipped(skipped: Sequence[tuple[str, str]], data: Path) -> None:
    """The first few (file name, reason) of what was left out, and where all of them stand."""
    for name, reason in skipped[:_SHOWN]:
        out.print(f"skipped {name}: {reason}")
    if skipped:
        out.print(f"{len(skipped)} skipped in all, listed in {data / 'skipped.csv'}")


def print_duplicates(found: "Duplicates") -> None:
    """Which pictures occur under several subjects, if any do."""
    for sentence in found.sentences():
        out.print(sentence)


def print_next(data: Path, before: Mapping[str, object], after: Mapping[str, object] | None = None) -> None:
    """The command that audits with the data set, and the one that trains on it, or why there is none yet.

    That trains within minutes; what the whole training would cost is said before it.

    Args:
        data: the data set's folder; a command's usual place needs no flag.
        before: settings of `train` whose flags stand before the folder's.
        after: those behind it.
    """
    from activmask.runs.making import make_config
    from activmask.training.cost import quick_form
    from activmask.training.readiness import refusal

    settings = {**before, "data": str(data), **(after or {})}
    audit = command_line(
        "activmask", "audit", "--data", data, "--model", "net.py:make", "--weights", "net.safetensors"
    )
    out.print(f"to audit a classifier that you have: {audit}")
    config = make_config(**settings)
    refused = refusal(config)
    if refused is not None:
        out.print(f"training cannot begin with these images: {refused}")
        return
    quick = quick_form(config)
    if quick.settings:
        settings |= quick.settings
        out.print(
            f"the next command is a quick form: without {' '.join(setting_words(quick.settings))} it trains "
            f"{config.training.epochs} epochs, about {duration(quick.seconds)} a seed on two CPU cores, far "
            "less on a GPU"
        )
    if data == Path(Source.data):
        del settings["data"]
    out.print(f"next: {command_line('activmask', 'train', *setting_words(settings))}", soft_wrap=True)


def print_mask_shares(shares: "MaskShares | None") -> None:
    """How much of the image lies inside the masks, as stored and as training dilates them."""
    if shares is None or not shares.stored.masks:
        out.print("no image has a mask")
        return
    table = result_table(
        "Share of the image inside the masks", "", "masks", "min", "median", "mean", "max", "empty", "full"
    )
    rows = {"as stored": shares.stored, f"dilated by mask blur {shares.sigma_px:g}": shares.dilated}
    for name, some in rows.items():
        table.add_row(name, str(some.masks), *_percentages(some), str(some.empty), str(some.full))
    print_table(table)
    if shares.without_mask:
        out.print(f"{shares.without_mask} images have no mask")
    if not shares.dilated.partial:
        out.print(
            "no dilated mask has both an inside and an outside, so train refuses every objective that looks "
            "at masks; choose a smaller mask blur"
        )


def _percentages(some: "Shares") -> list[str]:
    values = (some.minimum, some.median, some.mean, some.maximum)
    return ["-" if value is None else f"{value:.1%}" for value in values]
