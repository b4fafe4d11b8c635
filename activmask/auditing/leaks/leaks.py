"""What the data give away without the region of interest: masks, borders, thumbnails, columns, splits.

Shapes: N images, n of them that probes see.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activmask.auditing.leaks.column_leaks import LABEL, ColumnLeaks, leaks_of_column
from activmask.auditing.leaks.columns import Kinds, LeftOut, kinds
from activmask.auditing.leaks.crossing import Crossing
from activmask.auditing.leaks.of_pictures import OfPictures, of_pictures
from activmask.auditing.leaks.pictures import border_px
from activmask.auditing.leaks.probe import Question, answered, question
from activmask.auditing.leaks.told import CHANCE, Told, judged_together
from activmask.data.balanced_draw import balanced_draw
from activmask.data.masks import presence
from activmask.data.samples import Samples
from activmask.evaluation.bootstrap import Rows
from activmask.evaluation.resampled import ends
from activmask.evaluation.sides import Area
from activmask.ground.progress import ItemsDone
from activmask.ground.shown import shown
from activmask.predictors.predictor import Predictor
from activmask.training.replicas.resampled_auc import resampled_auc

MOST_PROBED = 2000
"""Images that probes see; an AUC of as many has an interval of about 0.05."""

PRESENCE = "presence of a mask"


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """What the data give away."""

    images: int
    """N."""
    probed: int
    """n, drawn with classes as equal as they can be where n is less than N."""
    border_px: tuple[int, int]
    """How wide the border is, rows and columns."""
    label: tuple[Told, ...]
    """The label from the presence of a mask, from the border and from the thumbnail."""
    columns: tuple[ColumnLeaks, ...]
    left_out: tuple[LeftOut, ...]
    """Columns that nothing was asked of."""
    crossing: Crossing

    @property
    def every(self) -> tuple[Told, ...]:
        """All that was probed, one after the other."""
        columns = (one for column in self.columns for one in (column.label, *column.encoded, *column.within))
        return (*self.label, *columns)

    def sentences(self) -> tuple[str, ...]:
        """What was found, in words."""
        columns = (sentence for column in self.columns for sentence in column.sentences())
        drawn = f"Probes saw {self.probed} of {self.images} images, drawn with classes as equal as possible."
        return (
            *([drawn] if self.probed < self.images else []),
            *filter(None, map(_label_sentence, self.label)),
            *columns,
            *(f"Nothing was asked of the column {shown(one.name)}: {one.why}." for one in self.left_out),
            *self.crossing.notes,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        return {
            "images": self.images,
            "probed": self.probed,
            "border_px": list(self.border_px),
            "label": [one.to_json() for one in self.label],
            "columns": [one.to_json() for one in self.columns],
            "left_out": [asdict(one) for one in self.left_out],
            "crossing": self.crossing.to_json(),
        }


def find_leaks(
    samples: Samples,
    columns: Mapping[str, Sequence[str]],
    *,
    splits: Sequence[str] | None = None,
    predictor: Predictor | None = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
    most: int = MOST_PROBED,
    before: list[OfPictures] | None = None,
    done: ItemsDone | None = None,
) -> Leaks:
    """Ask by logistic probes, tested on subjects they did not learn from, what gives what away.

    Args:
        samples: N images as stored or given.
        columns: (N,) values by name, empty where unknown.
        splits: (N,) by image; None where the data name none.
        predictor: whose last features are probed; None probes the pictures alone.
        class_names: of the labels 0, 1, ...; numbers without.
        seed: of the draw of images, of folds, resamples and projections.
        most: images that probes see.
        before: what was asked of pictures for other labels of theirs, by the same columns, splits, predictor
            and seed: it is not asked of the same ones again, and what is asked now is added.
        done: is told how many questions are answered, and of how many: what gives the label away, and of each
            column what gives it away, and what it gives away.
    """
    rows = balanced_draw(samples.labels.numpy(), most, seed=seed)
    seen = samples.subset(rows.tolist())
    everything, left_out = kinds(columns)
    by_class = [str(class_names[k]) if class_names else str(k) for k in seen.labels.tolist()]
    on_label = question(by_class, seen.subjects, np.arange(len(rows)), seed=seed)
    columns_seen = [_of_rows(one, rows) for one in everything]
    known = [] if before is None else before
    pictures = next((one for one in known if one.is_of(samples, rows)), None)
    questions = 1 + len(columns_seen) * (1 if pictures is not None else 2)
    answers = count(1)

    def asked_one() -> None:
        if done is not None:
            done(next(answers), questions)

    if pictures is None:
        pictures = of_pictures(
            samples,
            columns_seen,
            rows,
            splits=splits,
            predictor=predictor,
            seed=seed,
            asked_one=asked_one,
        )
        known.append(pictures)
    wide = border_px(*seen.images.shape[-2:])
    as_thumbnail, *_ = pictures.sources
    label = (
        _of_presence(on_label, seen),
        answered(on_label, pictures.border, what=LABEL, source=f"border of {max(wide)} px", seed=seed),
        answered(on_label, pictures.sources[as_thumbnail], what=LABEL, source=as_thumbnail, seed=seed),
    )
    asked_one()
    of_columns = []
    for one in columns_seen:
        encoded = pictures.encoded[one.name]
        of_columns.append(
            leaks_of_column(one, on_label, by_class, seen, pictures.sources, encoded, seed=seed)
        )
        asked_one()
    found = Leaks(
        images=len(samples),
        probed=len(rows),
        border_px=wide,
        label=label,
        columns=tuple(of_columns),
        left_out=left_out,
        crossing=pictures.crossing,
    )
    return _together(found)


def _together(found: Leaks) -> Leaks:
    """The same, each that was asked judged as one of all."""
    judged = iter(judged_together(found.every))
    return replace(
        found,
        label=_as_many(judged, found.label),
        columns=tuple(
            replace(
                column,
                label=next(judged),
                encoded=_as_many(judged, column.encoded),
                within=_as_many(judged, column.within),
            )
            for column in found.columns
        ),
    )


def _as_many(judged: Iterator[Told], those: Sequence[Told]) -> tuple[Told, ...]:
    return tuple(islice(judged, len(those)))


def _of_rows(column: Kinds, rows: Rows) -> Kinds:
    return replace(column, values=tuple(column.values[i] for i in rows))


def _label_sentence(told: Told) -> str:
    if told.reason:
        return f"Whether the label can be told by the {told.source} is not known: {told.reason}."
    if not told.tells:
        return ""
    if told.source == PRESENCE:
        return f"Whether an image has a mask tells its label: {told.numbers}."
    return (
        f"The {told.source} alone tells the label: {told.numbers}; whether what is seen there is the finding "
        "or something beside it, a probe does not say."
    )


def _of_presence(asked: Question | str, seen: Samples) -> Told:
    """The label from the presence of a mask, which takes no learning: of two classes either may have more."""
    if isinstance(asked, str):
        return Told(what=LABEL, source=PRESENCE, reason=asked)
    labels, has_mask = torch.from_numpy(asked.truth), seen.has_mask[torch.from_numpy(asked.rows)]
    found = presence(labels, has_mask)
    low, high = _presence_interval(asked, has_mask, found.auc)
    beyond = low is not None and high is not None and not low <= CHANCE <= high
    return Told(
        what=LABEL,
        source=PRESENCE,
        n=len(labels),
        subjects=len(set(asked.whose.tolist())),
        values=asked.values,
        auc=found.auc,
        low=low,
        high=high,
        chance_distance=found.chance_distance if beyond else None,
        p=Area(found.auc, low, high).p(found.chance_distance) if beyond else None,
    )


def _presence_interval(asked: Question, has_mask: Tensor, auc: float) -> tuple[float | None, float | None]:
    """Of the AUC that `presence` tells, in each draw of the class that is then separated best."""
    if asked.counts is None:
        return None, None
    score = np.tile(has_mask.double().numpy()[:, None], 2)
    classes = [1] if len(asked.values) == 2 else range(len(asked.values))
    areas = np.stack(
        [resampled_auc(score, (asked.truth == k).astype(np.int64), asked.counts) for k in classes]
    )
    best = np.abs(areas - CHANCE).argmax(axis=0)
    return ends(areas[best, np.arange(areas.shape[1])], auc)
