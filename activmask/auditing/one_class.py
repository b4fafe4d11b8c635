"""Whether a foreign network calls all images one class, as where images reach it otherwise than in training.

Shapes: N images, K classes.
"""

from torch import Tensor

from activmask.auditing.material import Material
from activmask.evaluation.estimate import counts_over_subjects
from activmask.evaluation.scores import (
    accuracy,
    auc,
    auc_over_subjects,
    chance_over_subjects,
    why_no_auc,
)
from activmask.evaluation.standing import with_interval
from activmask.predictors.predictor import Predictor


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
    if why_no_auc(labels, classes):
        return ()
    counts = counts_over_subjects(labels.numpy(), samples.subjects, seed=seed)
    area = auc_over_subjects(auc(logits, labels), logits, labels, counts).estimate().area()
    if not area.informs(chance_over_subjects(labels.numpy(), samples.subjects, classes)):
        return ()
    number = int(called[0])
    unsaid = " and ".join(filter(None, [", ".join(how.unsaid[:-1]), *how.unsaid[-1:]]))
    given = f" ({unsaid} {'was' if len(how.unsaid) == 1 else 'were'} not given)" if unsaid else ""
    return (
        f"All {len(samples)} images are called {judged.class_names[number]}, which "
        f"{int((labels == number).sum())} of them are, at the model's own decision (its highest output; of "
        f"two classes a probability of 0.5), although its AUC of {with_interval(area)} is told from chance. "
        f"Its threshold, or how images are prepared for it{given}, may be other than in its training: "
        f"compare the accuracy of {accuracy(logits, labels):.2f} here with the one that you know of it.",
    )
