"""Who and what lies in more than one split, or under more than one name.

Shapes: N images, C channels, H x W pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activmask.data.duplicates import DuplicateFinder, Duplicates
from activmask.data.samples import Samples
from activmask.ground.listed import listed
from activmask.ground.shown import shown

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """What images have in common across splits and subjects."""

    images: Mapping[str, int]
    """By split; empty where the data name none."""
    subjects: tuple[str, ...]
    """Those whose images lie in more than one split, sorted. Foreign text."""
    duplicates: Duplicates
    """Pictures that occur under more than one subject."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found and what could not be asked, as sentences."""
        notes = []
        if len(self.images) < 2:
            notes.append(
                "Whether subjects or pictures lie in two splits cannot be told: "
                + ("all images are of one split." if self.images else "the data name no splits.")
            )
        if self.subjects:
            some = listed([shown(one) for one in self.subjects[:_NAMED]])
            more = f" (such as {some})" if len(self.subjects) > _NAMED else f" ({some})"
            whose = "1 subject has" if len(self.subjects) == 1 else f"{len(self.subjects)} subjects have"
            notes.append(f"{whose} images in more than one split{more}: what is tested was learned from.")
        return (*notes, *(f"{shown(one)}." for one in self.duplicates.sentences()))

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return {
            "images": dict(self.images),
            "subjects_across_splits": list(self.subjects),
            **self.duplicates.card(),
            "notes": list(self.notes),
        }


def crossing(samples: Samples, splits: Sequence[str] | None) -> Crossing:
    """Look for subjects in several splits, and for equal or nearly equal pictures of several subjects.

    Args:
        samples: of every split that is known, as stored.
        splits: (N,) by image; None where the data name none.
    """
    named = ("",) * len(samples) if splits is None else tuple(splits)
    finder = DuplicateFinder()
    places: dict[str, set[str]] = defaultdict(set)
    for i, (subject, split) in enumerate(zip(samples.subjects, named, strict=True)):
        finder.add(samples.names[i], subject, split, samples.images[i].numpy())
        places[subject].add(split)
    return Crossing(
        images=dict(Counter(split for split in named if split)),
        subjects=tuple(sorted(subject for subject, own in places.items() if len(own - {""}) > 1)),
        duplicates=finder.finish(),
    )
