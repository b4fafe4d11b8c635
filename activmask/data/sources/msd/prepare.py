"""A data set from a task of the Medical Segmentation Decathlon.

Source: Antonelli et al., "The Medical Segmentation Decathlon" (2022); the paper's section 5.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from activmask.data.dilation import NATIVE_UNIT, dilation_radius
from activmask.data.duplicates import DuplicateFinder, Duplicates, watched
from activmask.data.files.images import check_side
from activmask.data.files.limits import SIGMAS, STORED
from activmask.data.files.volume_slices import ORIENTATION, PERCENTILES
from activmask.data.skipped import reason
from activmask.data.sources.msd.archive import is_archive, unpacked
from activmask.data.sources.msd.cases import Case, Task, chosen_values, read_task
from activmask.data.sources.msd.organs import CT_WINDOW, ORGANS
from activmask.data.sources.msd.volume import SliceRules, Slices, cut
from activmask.data.writer import Record, Summary, claimed_dataset, write_dataset
from activmask.ground.errors import DataError, UsageError
from activmask.ground.limits import NUMBERS
from activmask.ground.places import real
from activmask.ground.processes import in_order
from activmask.ground.progress import ItemsDone

_OTHER_BLUR = 0.5


@dataclass(frozen=True)
class MsdSummary:
    """What was written, and what was left out."""

    written: Summary
    task: str
    preset: str | None
    """The paper's for this task; None for a task that is not in it."""
    volumes: int
    """How many gave slices."""
    unplaced: int
    """How many of these do not say how their axes lie in the patient, see `unplaced_note`."""
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason) of volumes and slices left out."""
    constant: tuple[str, ...]
    """Names of the slices that have one value everywhere; they are kept."""
    mask_blur: float
    mask_radius: int
    """By how many px of the native slice the blur grows a mask."""
    native_sides: tuple[int, int]
    """The shortest and the longest side in px of the native slices, padded to squares."""
    seconds_decompressing: float
    """Summed over the volumes, as is the next."""
    seconds_elsewhere: float
    duplicates: Duplicates
    """Slices that occur in volumes of several subjects."""


@dataclass
class _Tally:
    """What the volumes have come to so far."""

    skipped: list[tuple[str, str]]
    volumes: int = 0
    unplaced: int = 0
    decompressing: float = 0.0
    elsewhere: float = 0.0
    classes: set[int] = field(default_factory=set)
    sides: set[int] = field(default_factory=set)
    """Of the native slices, in px."""
    constant: list[str] = field(default_factory=list)


def source_name(source: Path) -> str:
    """The task's name as its folder or archive has it, 'Task03_Liver'."""
    path = real(source)
    if path.name == "dataset.json":
        path = path.parent
    return re.sub(r"\.(tar|tar\.gz|tgz)$", "", path.name, flags=re.IGNORECASE)


def preset_of(name: str) -> str | None:
    """The paper's preset for a task, for example 'liver'; None for one that is not in the paper."""
    known = (preset for preset, one in ORGANS.items() if any(word in name.casefold() for word in one.words))
    return next(known, None)


def default_out(source: Path) -> Path:
    """Where a task's data set belongs if nobody says otherwise."""
    name = source_name(source)
    short = re.sub(r"^(Task|Dataset)\d+_", "", name).lower()
    return Path("data") / (preset_of(name) or re.sub(r"[^a-z0-9._-]+", "_", short).strip("._-") or "msd")


def prepare_msd(
    source: Path,
    out: Path,
    *,
    labels: tuple[str, ...] = (),
    channel: int = 0,
    size: int = 110,
    window: tuple[float, float] | None = None,
    slices_per_volume: int = 0,
    mask_blur: float | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> MsdSummary:
    """Make a data set of the axial slices of a task's labelled volumes.

    A slice has class 1, and a mask, when the organ has more than one voxel in it, else class 0.
    Values are clipped to the window and scaled to [0, 1]; a slice is padded to a square, in mm,
    with the window's low end around it, and resized (image anti-aliased, mask nearest neighbour),
    so nothing is stretched. A broken volume is left out and named in the summary and in
    `skipped.csv`. The same input gives the same bytes, whatever the number of workers.

    Args:
        source: A task's folder, its dataset.json, its .tar as downloaded, or an nnU-Net v2 folder.
        out: The data set's folder. An archive is unpacked beside it for as long as this takes.
        labels: Names or numbers of the labels that make the organ; none for all.
        channel: Which modality of a multi-channel task to take.
        size: Side of the stored slices in px.
        window: Values that become 0 and 1. By default soft tissue (-160 to 240 HU) for CT, and the
            0.5 to 99.5 percentile of each volume for anything else.
        slices_per_volume: Draw this many of each volume, half of each class (an odd one more with
            the organ; a class that has fewer gives all it has); 0 takes all.
        mask_blur: Sigma in px of the native slices that training will dilate masks by; by default
            the paper's for the task. It is only noted: masks are stored as they are, and the table
            says of how many native px each slice was, by which training scales sigma.
        workers: Processes, each holding one volume.
        overwrite: Replace a data set that lies at `out`.
        progress: Called with the number of volumes done and their total.

    Raises:
        DataError: the task is broken, or what is left after skipping cannot make a data set.
        UsageError: the arguments make no sense, alone or for this task.
    """
    _check_request(size, window, slices_per_volume, mask_blur, channel)
    with (
        # Writing claims the place too, but only after minutes of unpacking.
        claimed_dataset(out, overwrite) as claim,
        unpacked(source, out) if is_archive(source) else nullcontext(source) as folder,
    ):
        task = read_task(folder, channel=channel)
        is_ct = task.modality.strip().casefold() == "ct"
        rules = SliceRules(
            organ=chosen_values(task, labels),
            declared=task.values,
            size=size,
            window=window or (CT_WINDOW if is_ct else None),
            per_volume=slices_per_volume,
        )
        preset = preset_of(source_name(source)) or preset_of(task.name)
        blur = _blur(preset) if mask_blur is None else mask_blur
        tally = _Tally(list(task.skipped))
        # What the slices turn out to be is added while they are written, before the card is.
        card = _card(task, rules, blur, channel) | {"constant_images": tally.constant}
        finder = DuplicateFinder()
        written = write_dataset(
            out,
            watched(_records(task, rules, tally, workers, progress), card, finder),
            card=card,
            overwrite=overwrite,
            skipped=tally.skipped,
            mask_blur=blur,
            claim=claim,
        )
    return MsdSummary(
        written=written,
        task=task.name,
        preset=preset,
        volumes=tally.volumes,
        unplaced=tally.unplaced,
        skipped=tuple(tally.skipped),
        constant=tuple(tally.constant),
        mask_blur=blur,
        mask_radius=dilation_radius(blur),
        native_sides=(min(tally.sides), max(tally.sides)),
        seconds_decompressing=tally.decompressing,
        seconds_elsewhere=tally.elsewhere,
        duplicates=finder.result,
    )


def _check_request(
    size: int,
    window: tuple[float, float] | None,
    slices_per_volume: int,
    mask_blur: float | None,
    channel: int,
) -> None:
    check_side(size)
    if window is not None and not STORED.least <= window[0] < window[1] <= STORED.most:
        raise UsageError(
            f"window must rise from a low to a high value within {STORED.least:g} and {STORED.most:g}",
            found=f"{window[0]:g} to {window[1]:g}",
        )
    NUMBERS.check("slices_per_volume", slices_per_volume)
    if slices_per_volume == 1:
        raise UsageError("slices_per_volume must be 0 or at least 2", found=slices_per_volume)
    NUMBERS.check("channel", channel)
    if mask_blur is not None:
        SIGMAS.check("mask_blur", mask_blur)


def _blur(preset: str | None) -> float:
    return _OTHER_BLUR if preset is None else ORGANS[preset].mask_blur


def _card(task: Task, rules: SliceRules, blur: float, channel: int) -> dict[str, Any]:
    low, high = rules.window or PERCENTILES
    unit = "percentile of each volume" if rules.window is None else "value"
    return {
        "source": "msd",
        "task": task.name,
        "modality": task.modality,
        "layout": task.layout,
        "labels": list(rules.organ),
        "declared": list(rules.declared),
        "classes": {"absent": 0, "present": 1},
        "window": {"low": low, "high": high, "unit": unit},
        "orientation": ORIENTATION,
        "slices_per_volume": rules.per_volume,
        "mask_blur": {
            "sigma_px": blur,
            "radius_px": dilation_radius(blur),
            "unit": NATIVE_UNIT,
            "stored": False,
        },
        "licence": task.licence,
        "reference": task.reference,
        "channel": channel,
        "channels": task.channels,
    }


def _records(
    task: Task, rules: SliceRules, tally: _Tally, workers: int, progress: ItemsDone | None
) -> Iterator[Record]:
    """Cut one volume after the other; what cannot be used is appended to the tally."""
    cuts = in_order(partial(cut, rules=rules), task.cases, workers=workers, ahead=1)
    for done, (case, slices) in enumerate(zip(task.cases, cuts, strict=True), 1):
        _count(task, case, slices, tally)
        for one in slices.slices:
            label = int(one.mask is not None)
            tally.classes.add(label)
            tally.sides.update(one.native)
            name = f"{case.subject}-z{one.z:03d}"
            if one.image.min() == one.image.max():
                tally.constant.append(name)
            yield Record(name, one.image, one.mask, label, case.subject, "", "", one.native)
        if progress is not None:
            progress(done, len(task.cases))
    if tally.classes != {0, 1}:
        _refuse(task, tally)


def _count(task: Task, case: Case, slices: Slices, tally: _Tally) -> None:
    tally.decompressing += slices.seconds_decompressing
    tally.elsewhere += slices.seconds_elsewhere
    if slices.failure is not None:
        why = reason(slices.failure, (task.root,))
        tally.skipped.append((case.image.relative_to(task.root).as_posix(), why))
    tally.skipped.extend(
        (f"{case.subject}-z{z:03d}", "the organ vanishes at the stored size") for z in slices.vanished
    )
    tally.volumes += bool(slices.slices)
    tally.unplaced += bool(slices.slices) and not slices.placed


def _refuse(task: Task, tally: _Tally) -> None:
    found = {0: "none with the organ", 1: "none without the organ"}
    what = found[tally.classes.pop()] if tally.classes else "no slice at all"
    why = "; choose other labels"
    if tally.skipped:
        why = f"; {len(tally.skipped)} items were skipped, the first because {tally.skipped[0][1]}"
    raise DataError(f"the task {task.name} leaves {what}, but a data set needs slices of both classes{why}")
