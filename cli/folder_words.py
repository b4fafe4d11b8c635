"""What `prepare-folder` says of the data set that it made."""

from pathlib import Path
from typing import TYPE_CHECKING

from .console import out
from .preparing import print_duplicates, print_mask_shares, print_skipped
from .shell import command_line
from .tables import ResultTable, print_table, result_table

if TYPE_CHECKING:
    from activmask.data.sources.folder.summary import FolderSummary


def print_summary(summary: "FolderSummary", data: Path, positive: str | None) -> None:
    """Print what was made of a folder."""
    written = summary.written
    print_table(_labels_table(summary) if written.label_counts else _classes_table(summary))
    depth = f"{written.bit_depth} bits{' a channel' if written.channels > 1 else ''}"
    out.print(
        f"{written.images} images of {written.height} x {written.width} px, {depth}; {written.masks} masks"
    )
    _print_positive(summary.classes, positive)
    out.print(summary.colours)
    if summary.fitted:
        out.print(summary.fitted)
    if summary.masks.files:
        out.print(summary.masks.sentence())
    if summary.volumes:
        out.print(summary.volumes)
    if summary.empty_masks:
        masks = "1 mask is empty" if summary.empty_masks == 1 else f"{summary.empty_masks} masks are empty"
        out.print(f"{masks}: stored as no mask")
    print_mask_shares(written.mask_shares, summary.without_mask)
    for note in folder_notes(summary):
        out.print(f"note: {note}")
    print_duplicates(summary.duplicates)
    print_skipped(summary.skipped, data)


def folder_notes(summary: "FolderSummary") -> list[str]:
    """What the library says, and what of the table it did not use, with the flags that would."""
    from activmask.data.sources.folder.roles import unused_note

    unused = [
        unused_note(role, names, command_line(f"--{role}", names[0]))
        for role, names in summary.unused.items()
    ]
    notes = [*summary.notes, *unused]
    if not summary.subjects_told:
        named = "" if "subject" in summary.unused else "; --subject COLUMN names one that does"
        notes.append(
            f"no column subject says whom an image shows, so {summary.written.images} images count as "
            f"{summary.subjects} subjects (a file, a volume or a DICOM study each){named}"
        )
    return notes


def _classes_table(summary: "FolderSummary") -> ResultTable:
    table = result_table("", "split", *(f"{label} = {k}" for label, k in summary.classes.items()))
    for split, counts in summary.written.counts.items():
        table.add_row(split, *(str(counts.get(k, 0)) for k in summary.classes.values()))
    return table


def _labels_table(summary: "FolderSummary") -> ResultTable:
    """Images by split and label; those of which a label is not known count in none of its losses."""
    table = result_table("", "split", "label", "yes", "no", "unknown", names=2)
    for split, of_split in summary.written.label_counts.items():
        for label, counts in of_split.items():
            table.add_row(split, label, *(str(counts[word]) for word in ("yes", "no", "unknown")))
    return table


def _print_positive(classes: dict[str, int], positive: str | None) -> None:
    """Say which of two names became class 1, where nobody chose it."""
    if positive is not None or len(classes) != 2 or set(classes) == {"0", "1"}:
        return
    negative, one = sorted(classes, key=lambda label: classes[label])
    swap = command_line("--positive", negative)
    out.print(f"class 1, whose scores are judged, is '{one}', the later in order; {swap} swaps the two")
