"""What is measured of several labels as one: the means over them, by which runs are compared."""

from collections.abc import Sequence
from statistics import fmean

from activmask.evaluation.audit import Audit, AuditRow
from activmask.evaluation.evaluate import Evaluation, Localisation, LocalisationRow
from activmask.evaluation.scores import Interval, ScoreReport
from activmask.training.replicas.mean_auc import MeanAuc
from activmask.training.replicas.resampled_auc import CONFIDENCE


def mean_evaluation(of_labels: Sequence[Evaluation], mean: MeanAuc | None) -> Evaluation:
    """The mean over labels of what one checkpoint came to, as far as it exists of every label.

    An AUC near 0 of one label and one near 1 of another are far from chance, and their mean is not. So there
    is no verdict on means, nor an area of the mask by which they could be judged: each label has its own.

    Args:
        of_labels: of the same checkpoint and images, one for each label; at least one.
        mean: of the same AUCs, with its interval; None where no label has one.
    """
    return Evaluation(
        seed=of_labels[0].seed,
        scores=_scores([one.scores for one in of_labels], mean),
        sites=(),
        audit=_audit([one.audit for one in of_labels]),
        localisation=_localisation([one.localisation for one in of_labels]),
    )


def _scores(scores: Sequence[ScoreReport], mean: MeanAuc | None) -> ScoreReport:
    known = None if mean is None or mean.labels < len(scores) else mean
    ends = None if known is None or known.low is None or known.high is None else (known.low, known.high)
    return ScoreReport(
        n=max(one.n for one in scores),
        auc_kind="mean ROC AUC over labels",
        auc=None if known is None else known.auc,
        interval=None if ends is None else Interval(*ends, CONFIDENCE, "bootstrap over subjects"),
        accuracy=fmean(one.accuracy for one in scores),
        reason=None if known else "a label has no AUC",
    )


def _audit(audits: Sequence[Audit]) -> Audit:
    reason = next((one.reason for one in audits if one.reason), None)
    versions = [] if reason else [row.images for row in audits[0].rows]
    return Audit(
        n=max(one.n for one in audits),
        borrowed=max(one.borrowed for one in audits),
        reason=reason,
        rows=tuple(
            AuditRow(
                images=name,
                auc=fmean(one.rows[k].auc for one in audits),
                accuracy=fmean(one.rows[k].accuracy for one in audits),
            )
            for k, name in enumerate(versions)
        ),
        mask_area_auc=None,
        chance_distance=None,
        verdict=None,
    )


def _localisation(found: Sequence[Localisation]) -> Localisation:
    measured = all(one.rows for one in found)
    metrics = [row.metric for row in found[0].rows] if measured else []
    return Localisation(
        attribution=found[0].attribution,
        n=max(one.n for one in found),
        blank=max(one.blank for one in found),
        rows=tuple(
            LocalisationRow(
                metric=name,
                mean=fmean(one.rows[k].mean for one in found),
                sd=None,
                chance=fmean(one.rows[k].chance for one in found),
            )
            for k, name in enumerate(metrics)
        ),
    )
