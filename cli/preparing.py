"""What the commands that prepare data sets print alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activmask.data.settings import Source
from activmask.ground.listed import listed

from .console import err, out
from .durations import duration
from .next_steps import say_next
from .shell import command_line
from .tables import print_table, result_table
from .train_words import setting_words

if TYPE_CHECKING:
    from activmask.data.duplicates import Duplicates
    from activmask.data.mask_shares import MaskShares, Shares
    from activmask.data.writer import Summary

_SHOWN = 10
_FEW = 3


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


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """What can be done with a data set that was just made."""

    audit: str
    """The command that audits a classifier of one's own with it."""
    refused: str
    """Why training cannot begin on it; empty where it can."""
    train: str
    """The command that trains on it within minutes; empty where it is refused."""
    quick: tuple[str, ...]
    """The words of that command which make it quick; none where the whole training is."""
    epochs: int
    """Of the whole training."""
    seconds: float | None
    """That it takes on two CPU cores, a seed; None where it is refused."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, whose empty texts are null."""
        told = {"audit": self.audit, "refused": self.refused or None, "train": self.train or None}
        whole = {"without": list(self.quick), "epochs": self.epochs, "seconds": self.seconds}
        return told | {"whole_training": None if self.refused else whole}


def next_step(
    data: Path, before: Mapping[str, object], after: Mapping[str, object] | None = None
) -> NextStep:
    """What to do with a data set; its table is read once for all of it.

    Args:
        data: the data set's folder; a command's usual place needs no flag.
        before: settings of `train` whose flags stand before the folder's.
        after: those behind it.
    """
    from activmask.data.dataset import read_dataset
    from activmask.data.files.limits import SizeNeeded
    from activmask.runs.making import make_config
    from activmask.training.cost import quick_form
    from activmask.training.readiness import refusal

    settings = {**before, "data": str(data), **(after or {})}
    audit = command_line(
        "activmask", "audit", "--data", data, "--model", "net.py:make", "--weights", "net.safetensors"
    )
    config = make_config(**settings)
    epochs, dataset = config.training.epochs, read_dataset(data, multi_label=True)
    refused = refusal(config, dataset=dataset)
    if isinstance(refused, SizeNeeded):
        refused.advice = "--size PX --overwrite makes them so"
    if refused is not None:
        return NextStep(audit=audit, refused=str(refused), train="", quick=(), epochs=epochs, seconds=None)
    quick = quick_form(config, dataset=dataset)
    settings |= quick.settings
    if data == Path(Source.data):
        del settings["data"]
    return NextStep(
        audit=audit,
        refused="",
        train=command_line("activmask", "train", *setting_words(settings)),
        quick=tuple(setting_words(quick.settings)),
        epochs=epochs,
        seconds=quick.seconds,
    )


def print_next(step: NextStep) -> None:
    """Print the two commands, and what the whole training would cost, or why there is none yet."""
    err.print(f"to audit a classifier that you have: {step.audit}", soft_wrap=True)
    if step.refused or step.seconds is None:
        out.print(f"training cannot begin with these images: {step.refused}")
        return
    if step.quick:
        err.print(
            f"the next command is a quick form: without {' '.join(step.quick)} it trains {step.epochs} "
            f"epochs, about {duration(step.seconds)} a seed on two CPU cores, far less on a GPU"
        )
    say_next(step.train)


def written_json(written: "Summary") -> dict[str, Any]:
    """What was written, as a plain dictionary; counts by split ("all" without any) and class, or label."""
    shares = written.mask_shares
    return {
        "data": str(written.root),
        "images": written.images,
        "masks": written.masks,
        "height": written.height,
        "width": written.width,
        "channels": written.channels,
        "bit_depth": written.bit_depth,
        "counts": written.label_counts
        or {
            split: {str(label): count for label, count in counts.items()}
            for split, counts in written.counts.items()
        },
        "mask_shares": None if shares is None else shares.to_json(),
    }


def skipped_json(skipped: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """What was left out, and why."""
    return [{"name": name, "reason": reason} for name, reason in skipped]


def print_mask_shares(shares: "MaskShares | None", without: Sequence[str] = ()) -> None:
    """How much of the image lies inside the masks, as stored and as training dilates them.

    Args:
        shares: what was counted.
        without: what images without a mask are called, where somebody gave them names.
    """
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
        count = shares.without_mask
        who = "1 image has no mask" if count == 1 else f"{count} images have no mask"
        more = [f"{len(without) - _FEW} more"] if len(without) > _FEW else []
        out.print(f"{who}{': ' * bool(without)}{listed([*without[:_FEW], *more])}")
    if not shares.dilated.partial:
        out.print(
            "no dilated mask has both an inside and an outside, so train refuses every objective that looks "
            "at masks; choose a smaller mask blur"
        )


def _percentages(some: "Shares") -> list[str]:
    values = (some.minimum, some.median, some.mean, some.maximum)
    return ["-" if value is None else f"{value:.1%}" for value in values]
