"""The cases of a Medical Segmentation Decathlon task, or of an nnU-Net v2 data set.

Formats: Antonelli et al., "The Medical Segmentation Decathlon" (2022), and nnU-Net's
documentation/dataset_format.md. No voxel is read here.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from activmask.data.files.tables import read_text
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real

Layout = Literal["decathlon", "nnunet"]

MAX_LABEL = 65_535
_TEXT = 500
_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Case:
    """One volume with its labels."""

    subject: str
    """The file's name without its ending, in ASCII letters, digits, '.', '_' and '-'."""
    image: Path
    label: Path
    channel: int
    """Which entry of the fourth axis to take; 0 where there is none."""
    channels: int = 1
    """How many entries the image's fourth axis must have; the label never has more than one."""


@dataclass(frozen=True)
class Task:
    """What a task's dataset.json says, and the volumes it lists."""

    root: Path
    name: str
    modality: str
    """Of the channel that was asked for: 'CT', 'MRI', 'T2', ..."""
    labels: dict[str, tuple[int, ...]]
    """The values of each foreground label; several where it is a region of nnU-Net."""
    values: tuple[int, ...]
    """Every value a label volume may hold, the background's 0 among them."""
    cases: tuple[Case, ...]
    channels: int
    """How many an image file holds: all that dataset.json declares, or one in nnU-Net's form."""
    licence: str
    reference: str
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason) of the listed cases that are not there."""
    layout: Layout
    """How channels are kept: as a fourth axis (`decathlon`), or one file each (`nnunet`)."""


def read_task(source: Path, *, channel: int = 0) -> Task:
    """Look up the training cases of a task.

    Args:
        source: The task's folder, a folder with only that inside, or its dataset.json.
        channel: Which modality of a multi-channel task to take.

    Raises:
        DataError: there is no such task, or its dataset.json is broken.
        UsageError: the task has no such channel.
    """
    table = _find_description(source)
    facts = _object(table, _parse(table), "the file")
    nnunet = "channel_names" in facts or "file_ending" in facts
    field = "channel_names" if nnunet else "modality"
    channels = _object(table, facts.get(field), field)
    if not 0 <= channel < len(channels) or str(channel) not in channels:
        known = _text(", ".join(map(str, channels.values())), "")
        raise UsageError(
            f"channel must be from 0 to {len(channels) - 1} ({known}) for {PATH}", path=table, found=channel
        )
    named = _object(table, facts.get("labels"), "labels")
    pairs = named.items() if nnunet else ((name, key) for key, name in named.items())
    labels = {str(name): _values(table, name, value) for name, value in pairs}
    values = tuple(sorted({0, *(value for several in labels.values() for value in several)}))
    root = real(table.parent)
    found = _nnunet_cases(table, facts, channel) if nnunet else _listed_cases(table, facts, channel)
    held = 1 if nnunet else len(channels)
    cases, skipped = _sound_cases(root, found, held)
    return Task(
        root=root,
        name=_text(facts.get("name"), root.name),
        modality=_text(channels[str(channel)], "not stated"),
        labels={name: several for name, several in labels.items() if several != (0,)},
        values=values,
        cases=cases,
        channels=held,
        licence=_text(facts.get("licence", facts.get("license")), "not stated"),
        reference=_text(facts.get("reference"), "not stated"),
        skipped=skipped,
        layout="nnunet" if nnunet else "decathlon",
    )


def chosen_values(task: Task, labels: tuple[str, ...]) -> tuple[int, ...]:
    """The label values that count as the organ: of all foreground labels, or of those named.

    Args:
        task: Whose labels.
        labels: Names or numbers of labels; none for all.

    Raises:
        UsageError: the task has no such label.
    """
    by_number = {str(value): (value,) for value in task.values if value != 0}
    by_name = {name.casefold(): several for name, several in task.labels.items()}
    wanted: set[int] = set()
    for label in labels or tuple(task.labels):
        several = by_name.get(label.casefold()) or by_number.get(label)
        if several is None:
            known = ", ".join(f"{name} ({', '.join(map(str, v))})" for name, v in task.labels.items())
            raise UsageError(f"labels must be among {known} for {task.root.name}", found=repr(label))
        wanted.update(several)
    return tuple(sorted(wanted))


def _find_description(source: Path) -> Path:
    if source.is_file():
        if source.suffix.lower() != ".json":
            raise DataError(
                f"{PATH} is no task folder, dataset.json or .tar file of the Decathlon",
                path=source,
                advice="give one",
            )
        return source
    if not source.is_dir():
        raise DataError(
            f"{PATH} does not exist; expected a task folder, its dataset.json or its .tar file", path=source
        )
    if (source / "dataset.json").is_file():
        return source / "dataset.json"
    inner = sorted(path for path in source.glob("*/dataset.json") if not path.parent.name.startswith("."))
    if len(inner) != 1:
        raise DataError(
            f"{PATH} has {len(inner) or 'no'} dataset.json inside",
            path=source,
            expected="one",
            advice="give the folder of one task",
        )
    return inner[0]


def _parse(table: Path) -> Any:
    try:
        return json.loads(read_text(table))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{PATH} is not valid JSON", path=table, advice="download it again") from error


def _object(table: Path, value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise DataError(
            f"{what} must be a JSON object with entries",
            path=table,
            found=type(value).__name__,
            advice="download it again",
        )
    return value


def _text(value: Any, otherwise: str) -> str:
    """One line of a description, short and printable whatever the file holds."""
    line = "".join(c for c in str(value or "") if c.isprintable()).strip()
    return line[:_TEXT] or otherwise


def _values(table: Path, name: Any, value: Any) -> tuple[int, ...]:
    if str(name).casefold() == "ignore":
        raise DataError(
            "the label 'ignore' leaves voxels undecided",
            path=table,
            advice="relabel them or remove the label",
        )
    several = value if isinstance(value, list) else [value]
    if not several or not all(re.fullmatch("[0-9]{1,5}", str(one)) for one in several):
        raise DataError(
            f"label {_text(name, '')!r} must have whole numbers from 0 to {MAX_LABEL}",
            path=table,
            found=repr(_text(value, "nothing")),
        )
    numbers = tuple(sorted({int(one) for one in several}))
    if numbers[-1] > MAX_LABEL:
        raise DataError(
            f"label {_text(name, '')!r} must be at most {MAX_LABEL}", path=table, found=numbers[-1]
        )
    return numbers


def _listed_cases(table: Path, facts: dict[str, Any], channel: int) -> Iterator[tuple[str, str, int]]:
    """(image, label, channel) as the Decathlon's dataset.json lists them."""
    training = facts.get("training")
    if not isinstance(training, list) or not training:
        raise DataError(
            "training must list the labelled volumes", path=table, found="none", advice="download it again"
        )
    for number, entry in enumerate(training, 1):
        pair = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (None, None)
        if not isinstance(pair[0], str) or not isinstance(pair[1], str):
            raise DataError(
                f"entry {number} of training must name an image and a label",
                path=table,
                advice="download it again",
            )
        yield pair[0], pair[1], channel


def _nnunet_cases(table: Path, facts: dict[str, Any], channel: int) -> Iterator[tuple[str, str, int]]:
    """(image, label, 0) by nnU-Net's naming: one file per channel."""
    ending = facts.get("file_ending")
    if ending not in _ENDINGS:
        raise DataError("file_ending must be .nii.gz or .nii", path=table, found=repr(_text(ending, "none")))
    suffix = f"_{channel:04d}{ending}"
    images = {path.name.removesuffix(suffix) for path in table.parent.glob(f"imagesTr/*{suffix}")}
    labels = {path.name.removesuffix(ending) for path in table.parent.glob(f"labelsTr/*{ending}")}
    if not images | labels:
        raise DataError(
            f"{PATH} has no imagesTr/*{suffix} with labelsTr/*{ending}",
            path=table.parent,
            advice="check the folder",
        )
    for case in sorted(images | labels):
        yield f"imagesTr/{case}{suffix}", f"labelsTr/{case}{ending}", 0


def _sound_cases(
    root: Path, found: Iterator[tuple[str, str, int]], channels: int
) -> tuple[tuple[Case, ...], tuple[tuple[str, str], ...]]:
    cases: dict[str, Case] = {}
    skipped: list[tuple[str, str]] = []
    for image, label, channel in found:
        try:
            case = Case(_subject(label), _inside(root, image), _inside(root, label), channel, channels)
            if case.subject.casefold() in cases:
                raise DataError(f"the subject {case.subject} is listed already")
            cases[case.subject.casefold()] = case
        except DataError as error:
            skipped.append((_text(image, "unnamed"), str(error)))
    return tuple(cases.values()), tuple(skipped)


def _subject(label: str) -> str:
    stem = re.sub(r"\.nii(\.gz)?$", "", label.rsplit("/", 1)[-1])
    return re.sub(r"[^A-Za-z0-9.-]+", "_", stem).strip("._-")[:100] or "volume"


def _inside(root: Path, name: str) -> Path:
    # Archives made on macOS hold a ._NAME beside each file, which is no volume.
    if name.rsplit("/", 1)[-1].startswith("."):
        raise DataError("its name begins with a dot, so it is no volume")
    path = Path(os.path.normpath(root / name))
    if not path.is_relative_to(root):
        raise DataError(f"{_text(name, '')} lies outside the task's folder")
    try:
        kind = path.stat().st_mode
        path = path.resolve(strict=True)
    except FileNotFoundError as error:
        why = "is a link that leads nowhere" if path.is_symlink() else "does not exist"
        raise DataError(f"{_text(name, '')} {why}") from error
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{_text(name, '')} cannot be read ({told})") from error
    if not path.is_relative_to(root):
        raise DataError(f"{_text(name, '')} is a link that leads outside the task's folder")
    if not stat.S_ISREG(kind):
        raise DataError(f"{_text(name, '')} is {'a folder' if stat.S_ISDIR(kind) else 'no file'}")
    return path
