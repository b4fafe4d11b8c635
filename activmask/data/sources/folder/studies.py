"""Whom files show: those of one DICOM study or one case of nnU-Net are of one patient, whatever a table says.

No text of a DICOM header is kept or told; files are compared by digests.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from activmask.data.files.nifti_names import case_name, volume_name
from activmask.ground.errors import DataError

if TYPE_CHECKING:
    from activmask.data.sources.folder.plan import Item


def with_one_subject_a_study(
    table: Path, items: Sequence["Item"], *, named: bool
) -> tuple[list["Item"], tuple[str, ...]]:
    """The items, those of one study under one subject, and what is to be said of it.

    Args:
        table: for messages.
        items: of the table.
        named: whether it has a column subject. Without one, files of a study share the name of the
            first of them, as slices of one series in two splits would be remembered, not recognised.

    Raises:
        DataError: the table gives one study to several subjects.
    """
    one_patient = {"DICOM": "of one DICOM study", "NIfTI": "channels of one case by nnU-Net's names"}
    first: dict[bytes, Item] = {}
    for item in items:
        known = first.setdefault(item.study, item) if item.study else item
        if named and known.subject != item.subject:
            raise DataError(
                f"{known.file_name!r} and {item.file_name!r} are {one_patient[item.kind]}, so of one "
                f"patient, but have the subjects {known.subject!r} and {item.subject!r}",
                path=table,
                advice="give all of them one subject",
            )
    alike = [replace(item, subject=first[item.study].subject) if item.study else item for item in items]
    return alike, (*_shared(items, alike), *_same_patient(alike))


def case_of(path: Path, mask: Path | None) -> bytes:
    """A digest of the case that a volume is a channel of; empty where nothing says so.

    A number at the end of a name may be a patient's as well as nnU-Net's of a channel: which it is, is told
    by a label volume that is called as the case is.
    """
    if mask is None or volume_name(mask) == volume_name(path) or volume_name(mask) != case_name(path):
        return b""
    return hashlib.blake2b(os.fsencode(mask), digest_size=16).digest()


def _shared(before: Iterable["Item"], after: Sequence["Item"]) -> tuple[str, ...]:
    """Which items share a subject that they would not have had, as sentences."""
    changed = {new.study for old, new in zip(before, after, strict=True) if old.subject != new.subject}
    kept = [item for item in after if item.study in changed]
    why = "as the table has no column subject, the {} are kept together in one split"
    notes = []
    for kind, one, several, what, whose in (
        ("DICOM", "study", "studies", "{} DICOM files come from {} with several files", "files of a study"),
        ("NIfTI", "case", "cases", "{} volumes are channels of {}, by nnU-Net's names", "channels of a case"),
    ):
        files = {item.image: item.study for item in kept if item.kind == kind}
        if studies := len(set(files.values())):
            of = f"1 {one}" if studies == 1 else f"{studies} {several}"
            notes.append(f"{what.format(len(files), of)}; {why.format(whose)}")
    return tuple(notes)


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
