"""How well the masks predict the labels by where and how large they are, and by outline, without any image.

Shapes: n masks of H x W pixels, K classes, R draws of the bootstrap.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from activmask.evaluation.estimate import Estimate
from activmask.evaluation.resampled import Counts, Floats
from activmask.evaluation.scores import drawn_auc

FOLDS = 5

OUTLINE_CELLS = 16

_OUTLINE_PENALTY = 0.01
"""C of its regression, of which there are more features than images, often."""

_DIGITS = 9
"""To which the folds' predictions are rounded: equal masks are equal predictions, whatever a solver's end."""


@dataclass(frozen=True, kw_only=True)
class MaskBaseline:
    """What the masks tell by themselves."""

    area: Estimate
    """Of the area alone, the larger the likelier class 1; with more than two classes, of the class that
    it separates best from the rest."""
    place: Estimate | None
    """Of area, centroid and bounding box together, by a logistic regression that is judged on subjects
    that it was not fitted to; None where a class is of fewer than two subjects."""
    outline: Estimate | None = None
    """Of the outline, likewise: the mask within its bounding box, as cells of `OUTLINE_CELLS` rows and
    columns. A blank region still shows it, whoever made the images around it."""


def mask_baseline(
    masks: Tensor,
    truth: NDArray[np.int64],
    subjects: NDArray[np.object_],
    counts: Counts | None,
    *,
    classes: int,
    seed: int,
) -> MaskBaseline:
    """Score the labels by the masks alone.

    Args:
        masks: bool (n, 1, H, W), each with an inside.
        truth: int64 (n,) in [0, K), every class present.
        subjects: (n,).
        counts: (R, n), the draws of the bootstrap; None without one.
        classes: K.
        seed: of the folds.
    """
    found = features(masks)
    place = _held_out(found, truth, subjects, classes=classes, seed=seed)
    outline = _held_out(
        outlines(masks), truth, subjects, classes=classes, seed=seed, penalty=_OUTLINE_PENALTY
    )
    return MaskBaseline(
        area=_area(found[:, 0], truth, counts, classes),
        place=None if place is None else _score(place, truth, counts),
        outline=None if outline is None else _score(outline, truth, counts),
    )


def features(masks: Tensor) -> Floats:
    """(n, 7): area, centroid (down, right), first and last row and first and last column of its box.

    As shares of the image, of masks bool (n, 1, H, W) that have an inside.
    """
    height, width = masks.shape[-2:]
    rows, columns = masks[:, 0].sum(dim=2).double().numpy(), masks[:, 0].sum(dim=1).double().numpy()
    area = rows.sum(axis=1)
    down = rows @ np.arange(height) / area / height
    right = columns @ np.arange(width) / area / width
    box = [_ends(rows > 0) / height, _ends(columns > 0) / width]
    return np.column_stack([area / (height * width), down, right, *box])


def outlines(masks: Tensor) -> Floats:
    """(n, cells): the share of each cell of a mask's bounding box that lies inside, in [0, 1].

    Of masks bool (n, 1, H, W) that have an inside.
    """
    found = np.empty((len(masks), OUTLINE_CELLS**2))
    for cells, mask in zip(found, masks[:, 0], strict=True):
        down, right = (mask.any(dim=axis).nonzero().flatten() for axis in (1, 0))
        box = mask[down[0] : down[-1] + 1, right[0] : right[-1] + 1]
        cells[:] = adaptive_avg_pool2d(box[None].float(), OUTLINE_CELLS).flatten().numpy()
    return found


def _ends(there: NDArray[np.bool_]) -> Floats:
    """(n, 2), the first and the last true of each row."""
    first = there.argmax(axis=1)
    last = there.shape[1] - 1 - there[:, ::-1].argmax(axis=1)
    return np.stack([first, last], axis=1).astype(np.float64)


def _area(area: Floats, truth: NDArray[np.int64], counts: Counts | None, classes: int) -> Estimate:
    tested = [1] if classes == 2 else range(classes)
    scores = [_score(np.stack([-area, area], 1), (truth == k).astype(np.int64), counts) for k in tested]
    return max(scores, key=lambda one: abs(one.value - 0.5))


def _score(values: Floats, truth: NDArray[np.int64], counts: Counts | None) -> Estimate:
    return drawn_auc(values, truth, counts).estimate()


def _held_out(
    found: Floats,
    truth: NDArray[np.int64],
    subjects: NDArray[np.object_],
    *,
    classes: int,
    seed: int,
    penalty: float = 1.0,
) -> Floats | None:
    """Predictions (n, K) of each subject's images by a regression fitted to the other subjects."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = min(FOLDS, *(len(set(subjects[truth == k])) for k in range(classes)))
    if folds < 2:
        return None
    numbers = np.unique(subjects.astype(str), return_inverse=True)[1]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    predictions = np.zeros((len(truth), classes))
    for fitted, held in splitter.split(found, truth, numbers):
        if len(np.unique(truth[fitted])) < classes:
            return None
        # Balanced, as otherwise a class that is rarer in the fit is commoner in what it is judged on.
        regression = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1000)
        model = make_pipeline(StandardScaler(), regression)
        predictions[held] = model.fit(found[fitted], truth[fitted]).predict_proba(found[held])
    return np.round(predictions, _DIGITS)
