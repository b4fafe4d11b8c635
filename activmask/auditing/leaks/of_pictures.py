"""What is asked of pictures, columns and splits whatever the label: once for all of several labels.

Shapes: n images that probes see, of N.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from activmask.auditing.leaks.columns import Kinds
from activmask.auditing.leaks.crossing import Crossing, crossing
from activmask.auditing.leaks.last_features import last_features
from activmask.auditing.leaks.pictures import border, thumbnail, thumbnail_px
from activmask.auditing.leaks.probe import Features, answered, question
from activmask.auditing.leaks.told import Told
from activmask.data.samples import Samples
from activmask.evaluation.bootstrap import Rows
from activmask.predictors.predictor import Predictor

FEATURES = "network's last features"


@dataclass(frozen=True, kw_only=True)
class OfPictures:
    """What was asked of some images."""

    images: Tensor
    """All N."""
    rows: Rows
    """Which of them probes see."""
    border: Features
    sources: Mapping[str, Features | str]
    """What may tell a column, or why there is nothing, by name; the thumbnail comes first."""
    encoded: Mapping[str, tuple[Told, ...]]
    """By column, how well each source tells it."""
    crossing: Crossing

    def is_of(self, samples: Samples, rows: Rows) -> bool:
        """Whether these very images were asked about."""
        return self.images is samples.images and np.array_equal(self.rows, rows)


def of_pictures(
    samples: Samples,
    columns: Sequence[Kinds],
    rows: Rows,
    *,
    splits: Sequence[str] | None,
    predictor: Predictor | None,
    seed: int,
    asked_one: Callable[[], None],
) -> OfPictures:
    """Ask of images what does not depend on their label.

    Args:
        samples: N images.
        columns: with n values each.
        rows: which of the images probes see.
        splits: (N,) by image; None where the data name none.
        predictor: whose last features are probed; None probes the pictures alone.
        seed: of folds, resamples and projections.
        asked_one: is called after each column.
    """
    images = samples.images[torch.from_numpy(rows)]
    subjects = tuple(samples.subjects[row] for row in rows.tolist())
    sources: dict[str, Features | str] = {
        f"thumbnail of {thumbnail_px(*images.shape[-2:])} px": thumbnail(images)
    }
    if predictor is not None:
        sources[FEATURES] = last_features(predictor.module, images, seed=seed)
    encoded = {}
    for column in columns:
        asked = question(column.values, subjects, np.arange(len(rows)), seed=seed)
        encoded[column.name] = tuple(
            answered(asked, found, what=column.name, source=source, seed=seed)
            for source, found in sources.items()
        )
        asked_one()
    return OfPictures(
        images=samples.images,
        rows=rows,
        border=border(images),
        sources=sources,
        encoded=encoded,
        crossing=crossing(samples, splits),
    )
