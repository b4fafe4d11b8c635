"""Whom DICOM files show: files of one study are of one patient, whatever the table says.

No text of a header is kept or told; files are compared by digests.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from activmask.ground.errors import DataError

if TYPE_CHECKING:
    from activmask.data.sources.folder.plan import Item


def with_one_subject_a_study(
    table: Path, items: Sequence["Item"], *, named: bool
) -> tuple[list["Item"], tuple[str, ...]]:
    """The items, those of one DICOM study under one subject, and what is to be said of it.

    Args:
        table: for messages.
        items: of the table.
        named: whether it has a column subject. Without one, files of a study share the name of the
            first of them, as slices of one series in two splits would be remembered, not recognised.

    Raises:
        DataError: the table gives one study to several subjects.
    """
    first: dict[bytes, Item] = {}
    for item in items:
        known = first.setdefault(item.study, item) if item.study else item
        if named and known.subject != item.subject:
            raise DataError(
                f"{known.file_name!r} and {item.file_name!r} are of one DICOM study, so of one patient, but "
                f"have the subjects {known.subject!r} and {item.subject!r}",
                path=table,
                advice="give all files of a study one subject",
            )
    alike = [replace(item, subject=first[item.study].subject) if item.study else item for item in items]
    return alike, (*_shared(items, alike), *_same_patient(alike))


def _shared(before: Iterable["Item"], after: Sequence["Item"]) -> tuple[str, ...]:
    changed = {new.subject for old, new in zip(before, after, strict=True) if old.subject != new.subject}
    if not changed:
        return ()
    count = sum(item.subject in changed for item in after)
    studies = "1 study" if len(changed) == 1 else f"{len(changed)} studies"
    return (
        f"{count} DICOM files come from {studies} with several files; as the table has no column subject, "
        "the files of a study are kept together in one split",
    )


def _same_patient(items: Iterable["Item"]) -> tuple[str, ...]:
    subjects: dict[bytes, set[str]] = defaultdict(set)
    files: dict[bytes, int] = defaultdict(int)
    for item in items:
        if item.patient:
            subjects[item.patient].add(item.subject)
            files[item.patient] += 1
    several = [patient for patient, some in subjects.items() if len(some) > 1]
    if not several:
        return ()
    count, some = sum(files[one] for one in several), sum(len(subjects[one]) for one in several)
    patients = "1 patient" if len(several) == 1 else f"{len(several)} patients"
    return (
        f"by PatientID, {count} DICOM files of {some} subjects are of {patients}; if that is so, tell it in "
        "a column subject of the table, or name the column that does as the subject: else images of one "
        "patient can be in train and test (if anonymisation wrote one number into all files, ignore this)",
    )
