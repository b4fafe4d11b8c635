"""A data set from anybody's folder of images, a table of labels and a folder of masks.

Shapes: H x W pixels of an original, S px the side of what it is resized to.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from activmask.data.duplicates import DuplicateFinder, watched
from activmask.data.files.images import Colour
from activmask.data.files.intensities import FULL_RANGE, Intensity
from activmask.data.files.mask_reading import survey_given
from activmask.data.files.mask_values import MaskReading
from activmask.data.multi_label import LABELS_ENTRY
from activmask.data.settings import View
from activmask.data.skipped import reason
from activmask.data.sources.folder.classes import ABSENT, PRESENT, number_classes, positive_note
from activmask.data.sources.folder.colours import check_intensity_of, chosen_colour
from activmask.data.sources.folder.fitting import USUAL_FIT, Fit, check_fit
from activmask.data.sources.folder.items import Job, Seen, as_record, nothing_seen
from activmask.data.sources.folder.originals import (
    by_volume,
    columns_note,
    dicom_note,
    formats,
    named,
    pixels_note,
)
from activmask.data.sources.folder.plan import Item, plan_items
from activmask.data.sources.folder.requests import (
    check_intensity,
    check_one_size,
    check_request,
    check_volumes,
)
from activmask.data.sources.folder.several_labels import check_labels
from activmask.data.sources.folder.summary import FolderSummary
from activmask.data.sources.folder.turned import turned_note
from activmask.data.sources.folder.volumes import VolumeReader, VolumeRules, Window
from activmask.data.used_ranges import check_ranges, constant_images
from activmask.data.writer import Record, write_dataset
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.progress import ItemsDone


class _ClassLostError(Exception):
    """Every image of a class turned out broken while the data set was being written."""


def prepare_folder(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    *,
    masks: str | Path | None = None,
    size: int | None = None,
    fit: Fit | None = None,
    colour: Colour | None = None,
    intensity: Literal["image"] | int | None = None,
    mask_reading: MaskReading | None = None,
    mask_labels: tuple[int, ...] = (),
    window: Window | None = None,
    label_from_mask: bool = False,
    positive: str | None = None,
    multi_label: Sequence[str] = (),
    subject: str | None = None,
    site: str | None = None,
    name: str = "",
    title: str = "",
    allow_duplicates: bool = False,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> FolderSummary:
    """Make a data set from the images that a table lists.

    Images are stored with 16 bits if any of them has more than 8. A broken item is left out and
    named in the summary and in `skipped.csv`. Images with one value everywhere are kept and named,
    in the card too.

    Args:
        images: Folder of PNG, JPEG, TIFF, WebP, BMP or DICOM images, or of NIfTI volumes, whose axial
            slices become images, see `VolumeReader`.
        labels: Table with the columns file_name and label, between commas, semicolons or tabs;
            mask_file_name, subject, site and split may follow, and further columns, such as sex or
            scanner, which are kept as they are. Files are named from their folder, or by absolute paths.
            Where every name lacks the ending of its file, each is the one file of that name.
            Labels are whole numbers or names, numbered in sorted order. A row without a `slice` asks for
            all slices of its volume, a row with one for that slice.
        out: The data set's folder.
        masks: Folder of PNG, TIFF, BMP or DICOM masks, and of label volumes for volumes. Without a
            column mask_file_name, a mask belongs to the image of the same relative path, whatever the
            suffixes; with that column, its names are relative to this folder, or to `images` if there
            is none.
        size: Resize images (anti-aliased) and masks (nearest neighbour) to this side in px.
        fit: How pictures that are not square fill that side, see `Fit`; left out, `pad`.
        colour: What becomes of pictures in colour, see `Colour`. Left out, they keep their three channels,
            and grey pictures beside them get three equal ones; where none shows colours all are grey.
        intensity: The largest value that images of 16 bits can have, 4095 for 12 bits; or `image`,
            which takes every image from its own minimum to its own maximum. Left out, it is 65,535,
            and images whose used parts of their ranges are a factor of four apart, by class, site or
            depth, are refused.
        mask_reading: Which stored values of the masks are inside. Left out, what is not 0, if all masks
            hold 0 and one other value.
        mask_labels: Values of label volumes that are inside; none for all above 0.
        window: Values of volumes that become 0 and 1; left out, the 0.5 and 99.5 percentiles of each.
        label_from_mask: Take an image with something inside its mask as `present`, one with nothing as
            `absent`, and one without a mask not at all; the table then has no column label.
        positive: Of two labels the one that becomes class 1; left out, the later in order.
        multi_label: Names of labels that do not exclude each other. Each has a column of 1 and 0, empty
            where unknown; or `label` holds the names of those that are true, with | between them.
        subject: The column that says whom an image shows, where that is not called subject; files are
            subjects where no column does.
        site: The column that says where it was made, where that is not called site.
        name: What tables call the data set, kept in its card.
        title: What headings call it, likewise.
        allow_duplicates: Take equal pixels in two of the given splits, which are refused otherwise.
        overwrite: Replace a data set that lies at `out`.
        progress: Called with the number of items done and their total.

    Raises:
        UnclearMasks: the masks hold other values than 0 and one more, and nobody said which are inside.
        DataError: the table is broken, the images' ranges are unequal, or what is left after skipping
            cannot make a data set.
        UsageError: the arguments make no sense together.
    """
    images, labels, out = Path(images), Path(labels), Path(out)
    masks = None if masks is None else Path(masks)
    check_request(images, labels, out, masks, size)
    check_intensity(intensity)
    multi_label = tuple(multi_label)
    check_labels(multi_label)
    if multi_label and (label_from_mask or positive is not None):
        raise UsageError(
            f"{'label_from_mask' if label_from_mask else 'positive'} is about classes that exclude each "
            "other; leave it or multi_label out"
        )
    plan = plan_items(
        images,
        labels,
        masks,
        label_from_mask=label_from_mask,
        multi_label=multi_label,
        subject=subject,
        site=site,
    )
    items, skipped = by_volume(plan.items), list(plan.skipped)
    rules = VolumeRules(size=size, window=window, labels=mask_labels)
    check_volumes(items, rules, mask_reading)
    check_fit(items, size, fit)
    if size is None:
        check_one_size(items)
    if allow_duplicates and not any(item.split for item in items):
        raise UsageError(
            f"allow_duplicates has no effect: {PATH} gives no splits", path=labels, advice="leave it out"
        )
    colour = chosen_colour(items, colour)
    check_intensity_of(colour, intensity)
    survey = survey_given([item.mask for item in items if item.slice_number is None], mask_reading)
    depth = 16 if any(item.bit_depth == 16 for item in items) or intensity == "image" else 8
    range_ = FULL_RANGE if intensity is None else intensity
    lost: set[str] = set()
    while True:
        reader = VolumeReader(rules)
        job = Job((images, masks), size, depth, colour, range_, fit or USUAL_FIT, survey.reading, reader)
        told: dict[str, Any] = {LABELS_ENTRY: list(multi_label)}
        classes: dict[str, int] = {}
        if not multi_label:
            classes = _classes(labels, items, skipped, positive, label_from_mask=label_from_mask)
            told = {"classes": classes}
        card = {"source": "folder", "colour": colour, "resized_to": size, **told}
        card |= {"intensity": job.intensity}
        card |= {"mask_reading": survey.card()} if survey.files else {}
        card |= named(name, title) | formats(items, rules)
        seen, finder = nothing_seen(job), DuplicateFinder()
        records = _records(items, classes, job, skipped, lost, seen, progress)
        records = _checked(records, seen, intensity, card, reader)
        try:
            written = write_dataset(
                out,
                watched(records, card, finder, allow=allow_duplicates),
                card=card,
                overwrite=overwrite,
                skipped=skipped,
                mask_blur=View().mask_blur,
            )
        except _ClassLostError:
            # The remaining classes have to be numbered anew.
            items = [item for item in items if item.name not in lost]
            continue
        kept = [item for item in items if item.name not in lost]
        given = sum(item.mask is not None for item in kept)
        notes = tuple(
            note
            for note in (
                positive_note(classes, positive),
                check_ranges(seen.used, intensity),
                constant_images(seen.used.constant),
                seen.colours.leak(),
                seen.fitted.leak(),
                turned_note(seen.turned),
                *plan.notes,
                dicom_note(kept),
                pixels_note(kept),
                columns_note(plan.left_out),
            )
            if note
        )
        return FolderSummary(
            written=written,
            classes=classes,
            skipped=tuple(skipped),
            empty_masks=given - written.masks,
            without_mask=tuple(seen.without_mask),
            notes=notes,
            colours=seen.colours.sentence(),
            fitted=seen.fitted.sentence(),
            masks=survey,
            volumes=reader.sentence(),
            duplicates=finder.result,
            subjects=len({item.subject for item in kept}),
            subjects_told=plan.subjects_told,
            unused=plan.unused,
        )


def _classes(
    labels: Path,
    items: Sequence[Item],
    skipped: Sequence[tuple[str, str]],
    positive: str | None,
    *,
    label_from_mask: bool,
) -> dict[str, int]:
    found = {ABSENT, PRESENT} if label_from_mask and items else {item.label for item in items}
    if len(found) < 2:
        why = f"; {len(skipped)} were skipped, the first because {skipped[0][1]}" if skipped else ""
        classes = f"of one class, {min(found)!r}" if found else "at all"
        raise DataError(
            f"{PATH} leaves {len(items)} images {classes}, but a data set needs two classes{why}",
            path=labels,
        )
    return number_classes(found, positive)


def _records(
    items: Sequence[Item],
    classes: dict[str, int],
    job: Job,
    skipped: list[tuple[str, str]],
    lost: set[str],
    seen: Seen,
    progress: ItemsDone | None,
) -> Iterator[Record]:
    """Read one image at a time; what cannot be read is appended to `skipped`, its name to `lost`."""
    present: set[int] = set()
    for done, item in enumerate(items, 1):
        try:
            record = as_record(item, classes, job, seen)
        except DataError as error:
            lost.add(item.name)
            whole = (item.image, item.mask) in job.volumes.failed
            told = (item.file_name if whole else item.called, reason(error, job.folders))
            # The slices of a broken volume say it once.
            if not whole or told not in skipped:
                skipped.append(told)
        else:
            present.add(record.label)
            yield record
        if progress is not None:
            progress(done, len(items))
    if items and items[0].labels:
        return  # The writer looks at labels.
    if len(present) == len(classes):
        return
    if any(item.label for item in items):
        raise _ClassLostError
    found = [label for label, number in classes.items() if number in present]
    raise DataError(
        f"the masks leave {f'images of one class, {found[0]!r}' if found else 'no image at all'}, but a data "
        "set needs two classes"
        + (f"; {len(skipped)} were skipped, the first because {skipped[0][1]}" if skipped else "")
    )


def _checked(
    records: Iterator[Record],
    seen: Seen,
    intensity: Intensity | None,
    card: dict[str, Any],
    volumes: VolumeReader,
) -> Iterator[Record]:
    """The records; what images and label volumes came to is checked and told to the card at the end."""
    yield from records
    check_ranges(seen.used, intensity)
    volumes.check()
    if volumes.files:
        card["mask_labels"] = volumes.card()
    card["ranges"] = seen.used.rows()
    card["constant_images"] = seen.used.constant
    card |= seen.fitted.card()
