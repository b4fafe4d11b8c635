"""How often something is found where there is nothing to find: scores drawn without regard to labels."""

import numpy as np
import pytest
import torch

from activmask.auditing.conditions.mask_baseline import MaskBaseline
from activmask.auditing.conditions.rows import ConditionRow
from activmask.auditing.conditions.verdict import verdict
from activmask.auditing.conditions.versions import CONDITIONS
from activmask.evaluation.bootstrap import subject_resamples
from activmask.evaluation.estimate import Estimate
from activmask.evaluation.resampled import counted
from activmask.evaluation.scores import chance_distance, chance_over_subjects, drawn_auc, macro_auc
from activmask.evaluation.verdict import Shuffled
from activmask.evaluation.verdict import verdict as verdict_of_shuffles

AUDITS, SUBJECTS = 400, 20

MOST = 31
"""Of 400 in which something is found, where it is in 5 %: more are had in 1 of 200 such series."""

JUDGING = ("full", "inside only", "outside only")


def _rows(found):
    return [
        ConditionRow(
            condition=one.name,
            draws=1,
            auc=found.get(one.name, found["full"]),
            auc_spread=None,
            auc_change=None,
            accuracy=None,
            accuracy_change=None,
        )
        for one in CONDITIONS
    ]


@pytest.mark.process
def test_a_model_that_reads_nothing_is_found_to_read_something_in_five_percent():
    truth = np.arange(SUBJECTS) % 2
    subjects = np.array([f"p{i}" for i in range(SUBJECTS)], dtype=object)
    counts = counted(subject_resamples(truth, subjects, seed=0), SUBJECTS)
    chance = chance_distance(torch.from_numpy(truth), 2)
    masks = MaskBaseline(area=Estimate(value=0.5, low=0.4, high=0.6), place=None)
    rng = np.random.default_rng(0)
    uncorrected, by_intervals, by_chance = 0, 0, 0
    for _ in range(AUDITS):
        drawn = {}
        for name in (*JUDGING, "outline only"):
            score = rng.standard_normal(SUBJECTS)
            drawn[name] = drawn_auc(np.stack([-score, score], axis=1), truth, counts)
        found = {name: one.estimate() for name, one in drawn.items()}
        full, inside, outside, outline = drawn.values()
        beyond, further = outside.change(outline), inside.further(outside)
        audited = verdict(_rows(found), masks, beyond, further, subjects=SUBJECTS, chance_distance=chance)
        shuffled = Shuffled(
            full=found["full"],
            without_background=found["inside only"],
            without_roi=found["outside only"],
            background_change=inside.change(full),
            roi_change=outside.change(full),
            further=further,
            mask_area=masks.area,
        )
        evaluated = verdict_of_shuffles(shuffled, subjects=SUBJECTS, chance_distance=chance)
        uncorrected += any(one.area().informs(chance) for one in found.values())
        by_intervals += audited.finding != "cannot be told"
        by_chance += evaluated.finding != "cannot be told"
    assert uncorrected > 40
    assert by_intervals <= MOST
    assert by_chance <= MOST


def test_images_of_one_subject_that_are_ranked_alike_are_no_evidence_of_each_other():
    rng, subjects, each = np.random.default_rng(0), 20, 6
    whose = [f"p{i}" for i in range(subjects) for _ in range(each)]
    truth = np.arange(subjects).repeat(each) % 2
    chance = chance_over_subjects(truth, whose, 2)
    scores = rng.standard_normal((AUDITS, subjects)).repeat(each, axis=1)
    distances = np.array([abs(macro_auc(np.stack([-one, one], axis=1), truth) - 0.5) for one in scores])
    assert (distances > chance).sum() <= MOST
    assert (distances > chance_distance(torch.from_numpy(truth), 2)).sum() > AUDITS / 3


@pytest.mark.parametrize(
    "sizes",
    [
        [(60, 0), (0, 60), *[(3, 0), (0, 3)] * 9],
        [*[(6, 0), (0, 6)] * 9, (6, 0), (3, 3)],
        [(5, 1), (1, 5)] * 10,
    ],
    ids=["unequally often", "one of two classes", "all of two classes"],
)
def test_chance_reaches_further_where_subjects_are_shown_unequally_or_are_of_two_classes(sizes):
    rng, numbers = np.random.default_rng(0), np.array(sizes)
    truth = np.concatenate([[0] * no + [1] * yes for no, yes in sizes])
    owners = np.arange(len(sizes)).repeat(numbers.sum(axis=1))
    chance = chance_over_subjects(truth, [f"p{i}" for i in owners], 2)
    scores = rng.standard_normal((AUDITS, len(sizes)))[:, owners]
    distances = np.array([abs(macro_auc(np.stack([-one, one], axis=1), truth) - 0.5) for one in scores])
    assert (distances > chance).sum() <= MOST
    # No further than it must: 95 % of them are within.
    assert np.quantile(distances, 0.95) == pytest.approx(chance, rel=0.15)
