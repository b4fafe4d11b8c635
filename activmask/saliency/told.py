"""What is told of explanations beside their pictures: a row each, and all of them together."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activmask.data.files.tables import format_sheet
from activmask.saliency.explain import Explanation

_HEADER = (
    "image",
    "predicted",
    "predicted_class",
    "probability",
    "label",
    "label_class",
    "explained_class",
    "inside_mask",
    "by_chance",
    "not_explained",
)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Many explanations as one row."""

    images: int
    """How many were explained."""
    predicted: dict[str, int]
    """How many of them the network takes for each class, by its name."""
    labelled: int
    """How many have a class that is known."""
    right: int
    """How many of these are predicted right."""
    masked: int
    """How many have a mask, and an attribution whose share inside counts."""
    inside: float | None
    """The mean share of these inside their masks."""
    inside_sd: float | None
    """Its standard deviation over them; None of fewer than two."""
    chance: float | None
    """The mean share of the image that their masks cover, which a random map would reach."""


def summarise(explanations: Sequence[Explanation]) -> Summary:
    """All explanations of one network, at least one, as one row."""
    known = [one for one in explanations if one.label is not None]
    shares = [one.share_inside for one in explanations if one.share_inside is not None]
    chances = [float(one.chance_inside or 0) for one in explanations if one.share_inside is not None]
    counts = Counter(one.predicted for one in explanations)
    return Summary(
        images=len(explanations),
        predicted={explanations[0].called(number): counts[number] for number in sorted(counts)},
        labelled=len(known),
        right=sum(one.predicted == one.label for one in known),
        masked=len(shares),
        inside=statistics.fmean(shares) if shares else None,
        inside_sd=statistics.stdev(shares) if len(shares) > 1 else None,
        chance=statistics.fmean(chances) if chances else None,
    )


def sheet_rows(explanations: Sequence[Explanation], lost: Sequence[tuple[str, str]] = ()) -> bytes:
    """A CSV file of one row an image, those that could not be explained, (file, why), at its end."""
    rows = [_row(one) for one in explanations]
    rows += [(name, *[""] * (len(_HEADER) - 2), why) for name, why in lost]
    return format_sheet(_HEADER, rows)


def _row(one: Explanation) -> tuple[object, ...]:
    share, chance = one.share_inside, one.chance_inside
    return (
        str(one.path),
        one.predicted,
        one.called(one.predicted),
        f"{one.probabilities[one.predicted]:.6f}",
        "" if one.label is None else one.label,
        "" if one.label is None else one.called(one.label),
        one.called(one.target),
        "" if share is None else f"{share:.6f}",
        "" if chance is None else f"{chance:.6f}",
        "",
    )


def to_json(explanations: Sequence[Explanation], lost: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """What the CSV holds, and the summary, as values that JSON has; shares in [0, 1]."""
    first = explanations[0]
    return {
        "method": first.method,
        "layer": first.layer,
        "slice": first.slice_number,
        "classes": [first.called(number) for number in range(len(first.probabilities))],
        "summary": vars(summarise(explanations)),
        "images": [
            {
                "image": str(one.path),
                "predicted": one.predicted,
                "probabilities": [float(value) for value in one.probabilities],
                "label": one.label,
                "explained": one.target,
                "inside_mask": one.share_inside,
                "by_chance": one.chance_inside,
            }
            for one in explanations
        ],
        "not_explained": [{"image": name, "why": why} for name, why in lost],
    }
