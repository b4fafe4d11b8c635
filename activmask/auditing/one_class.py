"""Whether a foreign network calls all images one class, as where images reach it otherwise than in training.

Shapes: N images, K classes.
"""

from collections.abc import Sequence

from torch import Tensor

from activmask.auditing.material import Material
from activmask.evaluation.estimate import counts_over_subjects
from activmask.evaluation.scores import (
    accuracy,
    auc_over_subjects,
    chance_over_subjects,
    why_no_auc,
)
from activmask.evaluation.sides import too_few
from activmask.evaluation.standing import with_interval
from activmask.predictors.predictor import Predictor
from activmask.predictors.preprocessing import Preprocessing
from activmask.training.replicas.predictions import auc


def one_class_notes(predictor: Predictor, judged: Material, logits: Tensor, *, seed: int) -> tuple[str, ...]:
    """A sentence where all images are called one class though the AUC is told from chance; else none.

    A checkpoint of this package prepares its images as in training, and of scores that only rank no image
    is called anything, so of both nothing is said.

    Args:
        predictor: of classes that exclude each other.
        judged: the N images.
        logits: of them, float (N, K).
        seed: of the bootstrap.
    """
    how, samples = predictor.preprocessing, judged.samples
    called = logits.argmax(dim=1)
    if how is None or not predictor.probabilities or not bool((called == called[0]).all()):
        return ()
    labels, classes = samples.labels, logits.shape[1]
    if why_no_auc(labels, classes) or too_few(len(set(samples.subjects))):
        return ()
    counts = counts_over_subjects(labels.numpy(), samples.subjects, seed=seed)
    area = auc_over_subjects(auc(logits, labels), logits, labels, counts).estimate().area()
    if not area.informs(chance_over_subjects(labels.numpy(), samples.subjects, classes)):
        return ()
    number = int(called[0])
    return (
        f"All {len(samples)} images are called {judged.class_names[number]}, which "
        f"{int((labels == number).sum())} of them are, at the model's own decision (its highest output; of "
        f"two classes a probability of 0.5), although its AUC of {with_interval(area)} is told from chance. "
        f"Its threshold, or how images are prepared for it{_not_given(how)}, may be other than in its "
        f"training: compare the accuracy of {accuracy(logits, labels):.2f} here with the one that you know "
        "of it.",
    )


def one_class_labels(predictor: Predictor, doubted: Sequence[str], labels: int) -> tuple[str, ...]:
    """The same of labels that do not exclude each other, in one sentence; none where none is doubted.

    Args:
        predictor: of all labels.
        doubted: the labels of which `one_class_notes` says something.
        labels: how many there are.
    """
    how = predictor.preprocessing
    if not doubted or how is None:
        return ()
    return (
        f"Of {len(doubted)} of {labels} labels ({', '.join(doubted)}) all images are called alike at a "
        "probability of 0.5, although the AUC is told from chance. That may be so of labels that are rare, "
        f"or common; thresholds, or how images are prepared{_not_given(how)}, may also be other than in "
        "training. The notes of each label in JSON have its numbers.",
    )


def _not_given(how: Preprocessing) -> str:
    *first, last = how.unsaid or ("",)
    names = f"{', '.join(first)} and {last}" if first else last
    return f" ({names} {'were' if first else 'was'} not given)" if names else ""
