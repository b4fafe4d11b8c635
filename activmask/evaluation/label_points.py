"""Where each of several labels is called true: a threshold chosen on validation, and what it comes to.

Shapes: N images, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import confusion_matrix, roc_curve
from torch import Tensor

from activmask.data.samples import Samples
from activmask.evaluation.other_data import split_for
from activmask.evaluation.scores import check_finite
from activmask.ground.errors import DataError
from activmask.runs.checkpoint import load_checkpoint
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import of_checkpoint, own_split_as_seen
from activmask.training.replicas.predictions import predict


@dataclass(frozen=True, kw_only=True)
class LabelPoint:
    """One label on the images of a split of which it is known."""

    label: str
    threshold: float
    """The probability from which on it is called true: where sensitivity plus specificity is greatest on
    the run's own validation images (Youden 1950)."""
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """Images by whether it is true, then by whether it is called true; no comes first."""

    @property
    def sensitivity(self) -> float:
        """The share of those of which it is true that are called so."""
        missed, found = self.confusion[1]
        return found / (missed + found)

    @property
    def specificity(self) -> float:
        """The share of those of which it is not true that are not called so."""
        right, wrong = self.confusion[0]
        return right / (right + wrong)


def label_points(
    path: Path,
    *,
    data: str | None = None,
    split: str = "test",
    accept_recipe: bool = False,
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
    reading: Reading | None = None,
) -> tuple[LabelPoint, ...]:
    """The points of all labels that a checkpoint's network tells; arguments are those of `split_for`.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or unusable.
        DataError: the images, or the run's own validation images, are missing, changed or do not fit.
    """
    checkpoint = load_checkpoint(path, code=code, multi_label=True)
    config = checkpoint.config
    stored, _ = split_for(checkpoint, data, split, accept_recipe=accept_recipe, reading=reading)
    judged = split_as_judged(stored, config.view, config.objectives, seed=checkpoint.seed, split=split)
    valid, _ = own_split_as_seen(of_checkpoint(checkpoint), "valid")
    model = checkpoint.model.to(device).eval()

    def odds(samples: Samples) -> Tensor:
        logits = predict(model, samples.images)
        check_finite(logits)
        return logits

    chosen_on, shown = odds(valid), odds(judged)
    return tuple(
        _point(name, chosen_on[:, k], valid.labels[:, k], shown[:, k], judged.labels[:, k])
        for k, name in enumerate(checkpoint.class_names)
    )


def points_of(
    paths: Sequence[Path],
    *,
    data: str | None = None,
    split: str = "test",
    accept_recipe: bool = False,
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
) -> tuple[dict[Path, tuple[LabelPoint, ...]], list[str]]:
    """The points of each checkpoint as far as they can be told, and sentences on why others cannot.

    A run whose own data are gone can be judged on others, but has no validation images to choose on.
    """
    found: dict[Path, tuple[LabelPoint, ...]] = {}
    notes = []
    for path in paths:
        try:
            found[path] = label_points(
                path, data=data, split=split, accept_recipe=accept_recipe, device=device, code=code
            )
        except DataError as error:
            notes.append(f"no threshold is chosen for {path}: {error}")
    return found, notes


def _point(name: str, valid: Tensor, valid_labels: Tensor, judged: Tensor, labels: Tensor) -> LabelPoint:
    threshold = best_threshold(*_known(valid, valid_labels))
    scores, truth = _known(judged, labels)
    [(right, wrong), (missed, found)] = confusion_matrix(truth, scores >= threshold, labels=[0, 1]).tolist()
    return LabelPoint(
        label=name, threshold=float(expit(threshold)), confusion=((right, wrong), (missed, found))
    )


def _known(logits: Tensor, labels: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return logits[labels >= 0].double().numpy(), labels[labels >= 0].numpy()


def best_threshold(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The score from which on to answer yes where sensitivity + specificity is greatest, the highest of such.

    Youden 1950, doi 10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.

    Args:
        scores: (N,).
        truth: (N,) of 0 and 1, both of which occur.
    """
    false, true, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    # The first is above all scores, where nothing is called true.
    return float(thresholds[1:][int(np.argmax((true - false)[1:]))])
