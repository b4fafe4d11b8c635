"""Does it matter where a network looks: statistics of known models, and sentences no stronger than they."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from study_runs import ARMS, disturbance_matters, nothing_matters, study_runs, where_matters

from activmask.evaluation.answers import _moved
from activmask.evaluation.paired import holm, paired_difference
from activmask.report.charts.study_scatter import means
from activmask.report.findings import mixed as mixed_module
from activmask.report.findings.mixed import Mixed, mixed_model
from activmask.report.findings.networks import CONTROLS, Network, observed
from activmask.report.findings.relation import partial_correlation, relations
from activmask.report.findings.study import headline, study, study_sentences
from activmask.report.findings.where import contrasts


def by_residuals(x, y, z):
    """The partial correlation by its definition: what straight lines of z leave of x and of y."""
    line = np.stack([np.ones_like(z), z], axis=1)
    left = [one - line @ np.linalg.lstsq(line, one, rcond=None)[0] for one in (x, y)]
    return np.corrcoef(*left)[0, 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(6, 40))
def test_the_partial_correlation_is_that_of_residuals_and_weights_count_as_copies(seed, n):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    x, y = z + rng.normal(size=n), -z + rng.normal(size=n)
    times = rng.integers(0, 4, size=n)
    times[:5] = 1
    copied = np.repeat(np.arange(n), times)
    found = partial_correlation(x, y, z, np.stack([np.ones(n), times]).astype(float))
    assert found[0] == pytest.approx(by_residuals(x, y, z), abs=1e-9)
    assert found[1] == pytest.approx(by_residuals(x[copied], y[copied], z[copied]), abs=1e-9)
    assert np.all(np.abs(found) <= 1)
    [mirrored] = partial_correlation(-x, y, z, np.ones((1, n)))
    assert mirrored == pytest.approx(-found[0], abs=1e-9)


def test_without_anything_to_hold_fixed_it_is_the_plain_one_and_without_variation_none():
    x, y = np.array([1.0, 2, 3, 4]), np.array([2.0, 1, 4, 3])
    one = np.ones((1, 4))
    assert partial_correlation(x, y, np.full(4, 7.0), one)[0] == pytest.approx(0.6)
    assert np.isnan(partial_correlation(np.full(4, 0.3), y, x, one)[0])
    assert np.isnan(partial_correlation(x, y, 2 * x + 1, one)[0])


def plain(arm, seed, inside, score, known=0.5, data="d"):
    return Network(
        run=None, seed=seed, data=data, method="m", label="m", arm=arm, twin=arm, masks="none",
        mass=inside, chance=0.0, holds=None, known=known, score=score,
    )  # fmt: skip


def simulated(rng, effect, *, arms=10, seeds=3, data=2):
    """Networks whose arms and seeds have effects of their own on both, so that they are not independent."""
    of_arms = rng.normal(size=(arms, 2))
    found = []
    for d in range(data):
        of_seeds = rng.normal(size=(seeds, 2)) / 2
        for arm in range(arms):
            for seed in range(seeds):
                shared = of_arms[arm] + of_seeds[seed]
                x, noise = shared + rng.normal(size=2) / 2
                z = rng.normal()
                found.append(plain(f"a{arm}", seed, x, effect * x + noise + z / 2, z, f"d{d}"))
    return found


def test_rho_is_spearmans_of_ranks_within_each_data_set():
    nets = simulated(np.random.default_rng(0), 0.5)
    total, each = relations(nets, lambda one: one.inside, np.random.default_rng(0), 50)
    expected = []
    for data in ("d0", "d1"):
        own = [one for one in nets if one.data == data]
        expected.append(
            by_residuals(*(rankdata([getattr(o, n) for o in own]) for n in ("inside", "score", "known")))
        )
    assert [one.rho for one in each] == pytest.approx(expected)
    assert total.rho == pytest.approx(np.mean(expected))
    assert (total.networks, total.arms, total.seeds) == (60, 10, 3)


def test_of_nothing_few_intervals_claim_something_and_of_a_strong_relation_most_do():
    """Networks that share arms and seeds: intervals over single networks would claim it half the time."""

    def claimed(effect, n):
        rng, count = np.random.default_rng(5), 0
        for _ in range(n):
            total, _ = relations(simulated(rng, effect), lambda one: one.inside, rng, 150)
            count += not total.interval[0] <= 0 <= total.interval[1]
        return count

    assert claimed(0.0, 60) <= 6
    assert claimed(2.0, 15) >= 13


def test_few_arms_or_seeds_get_no_interval():
    rng = np.random.default_rng(0)
    for size in ({"arms": 4}, {"seeds": 2}):
        total, each = relations(simulated(rng, 1.0, **size), lambda one: one.inside, rng, 50)
        assert total.rho is not None
        assert total.interval is None
        assert all(one.p is None for one in each)


def test_networks_are_what_their_runs_say():
    [classify, given_masks, random] = observed(
        study_runs(lambda *_: (0.36, 0.9, 0.7), data=("digits",), arms=(ARMS[0], ARMS[1], ARMS[4]), seeds=1)
    ).networks
    assert (classify.masks, given_masks.masks, random.masks) == ("none", "given", "random")
    assert given_masks.method == random.method == "Actdiff"
    assert random.twin == given_masks.arm != random.arm
    assert random.inside == pytest.approx((0.36 - 0.2) / 0.8)
    assert (random.known, random.score, random.holds) == pytest.approx((0.9, 0.7, 0.36))


def test_what_has_no_objective_is_a_method_of_its_own_and_places_make_no_arm():
    first = ({"upweight_errors_of": f"runs/{name}"} for name in ("crosses", "digits"))
    runs = [
        run
        for name, jtt in zip(("crosses", "digits"), first, strict=True)
        for run in study_runs(nothing_matters, data=(name,), arms=({}, jtt), seeds=1)
    ]
    networks = observed(runs).networks
    assert [one.method for one in networks[:2]] == [
        "Classify",
        "Classify, errors of a first run counted more (JTT)",
    ]
    assert networks[1].arm == networks[3].arm != networks[0].arm


def test_validation_counts_as_known_only_where_it_is_told_to_be_as_training():
    def known(metric, runs):
        for one in runs:
            for seed in one.run.metrics:
                one.run.metrics[seed] |= {metric: {"auc": 0.77}}
        return observed(runs)

    runs = study_runs(nothing_matters, data=("digits",), seeds=2)
    assert observed(runs).known == {"Digits": "training AUC"}
    assert known("valid", runs).known == {"Digits": "training AUC"}
    found = known("valid_iid", runs)
    assert found.known == {"Digits": "validation AUC"}
    assert {one.known for one in found.networks} == {0.77}


def test_a_run_that_others_begin_with_is_neither_a_way_to_train_nor_classification_alone():
    drawn = {"arms": ({}, ARMS[2], ARMS[5]), "data": ("digits",), "seeds": 6}
    plain_runs = study_runs(where_matters, **drawn)
    [short] = study_runs(lambda *_: (0.4, 0.9, 0.0), arms=({"epochs": 20},), data=("digits",), seeds=6)
    for runs in ([*plain_runs, short], [short, *plain_runs]):
        found = observed(runs)
        assert found.left_out == (
            "Digits: Left out, as they were trained for other epochs: Classify (20 and not 500).",
        )
        assert contrasts(found.networks) == contrasts(observed(plain_runs).networks)


def test_what_was_fitted_to_the_validation_images_is_not_known_by_them():
    first = {"retrain_head": "runs/first", "groups": "shortcut"}
    runs = study_runs(where_matters, arms=(*ARMS, first), data=("digits",), seeds=3)
    assert all(one.known is not None for one in observed(runs).networks)
    removal = SimpleNamespace(dose=SimpleNamespace(share=0.9, valid_share=0.9))
    found = observed([replace(one, removals=dict.fromkeys(one.evaluations, removal)) for one in runs])
    assert found.known == {"Digits": "validation AUC"}
    unknown = [one for one in found.networks if one.known is None]
    assert [one.method for one in unknown] == ["Classify, last layer retrained (DFR)"] * 3
    assert found.left_out == (
        "Digits: No part in correlations and model, as their last layers were fitted to the validation "
        "images: Classify, last layer retrained (DFR).",
    )
    rng = np.random.default_rng(0)
    assert relations(found.networks, lambda one: one.inside, rng, 50)[0].networks == len(ARMS) * 3


def test_pairs_differ_in_masks_alone_and_a_seed_is_one_observation():
    runs = study_runs(where_matters, data=("digits",), seeds=6)
    found = contrasts(observed(runs).networks)
    [total] = found.overall
    assert (total.pairs, total.score.n) == (5 * 6, 6)
    assert [(one.method, one.pairs) for one in found.single] == [("Actdiff", 18), ("Gradmask", 12)]
    auc = {(n, seed): one.run.metrics[seed]["test"]["auc"] for n, one in enumerate(runs) for seed in range(6)}
    given_masks = [np.mean([auc[n, seed] for n in (1, 2, 3, 7, 8)]) for seed in range(6)]
    random = [np.mean([auc[n, seed] for n in (4, 5, 6, 9, 10)]) for seed in range(6)]
    assert total.score == paired_difference(given_masks, random)
    plain_ = [auc[0, seed] for seed in range(6)]
    assert found.amount.score.mean == pytest.approx(np.mean(np.subtract(random, plain_)))
    assert all(one.adjusted_p >= one.score.p for one in found.single)
    over_all = (total, found.amount)
    assert [one.adjusted_p for one in over_all] == holm([one.score.p for one in over_all])
    assert [one.family for one in over_all] == [2, 2]


def test_what_no_p_value_could_show_after_its_correction_is_not_called_unshown():
    few, enough = (
        study_sentences(study(study_runs(where_matters, data=("digits",), seeds=seeds))) for seeds in (6, 7)
    )
    assert sum("with so few seeds no difference could be shown" in one for one in few) == 2
    assert not any("with so few seeds" in one for one in enough)


def test_seeds_that_saw_other_images_are_no_pair():
    runs = study_runs(where_matters, data=("digits",), seeds=3)
    digests = {0: {"train": "a"}, 1: {"train": "a"}, 2: {"train": "a"}}
    runs = [replace(one, run=replace(one.run, digests=digests)) for one in runs]
    runs[4] = replace(runs[4], run=replace(runs[4].run, digests={**digests, 1: {"train": "b"}}))
    [total] = contrasts(observed(runs).networks).overall
    assert total.pairs == 5 * 3 - 1


def test_the_mixed_model_finds_the_slope_that_the_networks_were_drawn_with():
    rng = np.random.default_rng(2)
    found = mixed_model(simulated(rng, 0.7, arms=20))
    assert isinstance(found, Mixed)
    assert found.low < 0.07 < found.high
    assert abs(found.slope - 0.07) < 0.02
    assert (found.networks, found.arms, found.at_bound, found.known) == (120, 20, (), True)


def test_what_does_not_vary_is_left_out_of_the_mixed_model_and_named():
    """Noise that sums to 0 over each arm and each seed leaves both no variance: least squares, by numpy."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(8, 6))
    noise += noise.mean() - noise.mean(axis=0) - noise.mean(axis=1)[:, None]
    inside = rng.random((8, 6))
    nets = [plain(f"a{k}", s, inside[k, s], inside[k, s] + noise[k, s]) for k in range(8) for s in range(6)]
    found = mixed_model(nets)
    assert isinstance(found, Mixed)
    assert set(found.at_bound) == {"ways to train", "seeds"}
    line = np.stack([np.ones(48), inside.ravel()], axis=1)
    slope = np.linalg.lstsq(line, (inside + noise).ravel(), rcond=None)[0][1]
    assert found.slope == pytest.approx(0.1 * slope)
    assert not found.known


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda nets: nets[:12], "it takes 5 ways to train"),
        (lambda nets: [replace(one, score=0.5) for one in nets], "the test AUC does not vary"),
        (lambda nets: [replace(one, known=one.inside) for one in nets], "cannot be told apart"),
    ],
)
def test_what_no_mixed_model_can_be_made_of_is_said(change, why):
    nets = simulated(np.random.default_rng(0), 0.0, data=1)
    assert why in mixed_model(change(nets))


def test_without_statsmodels_it_is_said(monkeypatch):
    monkeypatch.setattr(mixed_module, "find_spec", lambda _: None)
    assert "activmask[study]" in mixed_model(simulated(np.random.default_rng(0), 0.0))


def test_a_known_relation_is_told_and_so_is_that_it_is_the_place():
    found = study(study_runs(where_matters))
    said = study_sentences(found)
    assert said[0].startswith(
        "Networks that look more inside the mask tend to score higher: over 96 networks (12"
    )
    assert "given the training AUC," in said[0]
    assert any("where the masks lie matters, and the expert's place raises the score." in one for one in said)
    assert "Networks that look more inside" in headline(found)


def test_of_none_none_is_told_and_not_its_absence():
    said = " ".join(study_sentences(study(study_runs(nothing_matters))))
    assert said.startswith(
        "No relation is shown between attribution inside the mask and the test AUC: over 96"
    )
    assert "That is no proof of none" in said
    assert "that where the masks lie matters for the score is not shown." in said
    assert "tend to score" not in said
    assert "matters, and" not in said


def test_what_disturbs_everywhere_is_told_from_where():
    said = " ".join(study_sentences(study(study_runs(disturbance_matters))))
    assert "disturbance as such, wherever it acts, raises the score." in said
    assert "that where the masks lie matters for the score is not shown." in said


def test_too_few_networks_are_told_to_be_too_few():
    few = study(study_runs(where_matters, seeds=2))
    said = study_sentences(few)
    assert said[0].startswith("There are too few networks to tell whether attribution inside the mask")
    assert "which may be chance." in said[0]
    assert any("with so few seeds no difference could be shown, however large." in one for one in said)


def test_without_controls_there_is_no_study():
    assert study(study_runs(where_matters, arms=ARMS[:4])) is None


def test_what_does_not_vary_is_told():
    found = study(study_runs(lambda *_: (0.4, 0.9, 0.7)))
    assert study_sentences(found)[0].endswith("cannot be told: one of them does not vary.")
    assert "There is no mixed model: the test AUC does not vary." in study_sentences(found)


def test_how_far_answers_move_is_the_mean_change_of_the_own_class_by_hand():
    """Probabilities 0.8 to 0.5 and 0.25 to 0.75 of their own classes; a third image took no part."""
    own = np.log([[0.2, 0.8], [0.25, 0.75], [0.5, 0.5]])
    shuffled = np.log([[0.5, 0.5], [0.75, 0.25], [np.nan, np.nan]])
    assert _moved(own, shuffled, np.array([1, 0, 1])) == pytest.approx((0.3 + 0.5) / 2)
    assert _moved(own, np.full((3, 2), np.nan), np.array([1, 0, 1])) is None


def test_large_marks_are_of_networks_that_differ_in_the_masks_alone_where_there_are_such():
    networks = observed(study_runs(where_matters, data=("crosses",))).networks
    for method in {one.method for one in networks}:
        own = [one for one in networks if one.method == method]
        controls = [one for one in own if one.masks in CONTROLS]
        marks = means(own)
        if not controls:
            assert [(one.networks, one.hollow, one.paired) for one in marks] == [(own, False, False)]
            continue
        hollow, filled = marks
        assert (hollow.hollow, filled.hollow, hollow.paired, filled.paired) == (True, False, True, True)
        assert [one.twin for one in hollow.networks] == [one.arm for one in filled.networks]
        assert [one.seed for one in hollow.networks] == [one.seed for one in filled.networks]
        assert {id(one) for one in hollow.networks} == {id(one) for one in controls}
        assert {one.masks for one in filled.networks} == {"given"}
        assert not any(one.paired for one in means([one for one in own if one not in filled.networks]))
    assert any(one.masks in CONTROLS for one in networks)
