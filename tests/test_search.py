"""Searches: what is proposed, trained, given up and kept; scores come from a function, nothing is trained."""

import math
import sys
from functools import partial

import optuna
import pytest
from scripted_search import Scored, plan_of

from activmask.ground.claims import InUse
from activmask.ground.errors import DataError, UsageError
from activmask.runs.claimed import claimed_sweep
from activmask.tuning.outcome import best_of
from activmask.tuning.plan import check_plan
from activmask.tuning.search import HOPELESS, is_over, run_search


def hill(config, seed):
    """Highest at a learning rate of 0.01 and an actdiff of 3; seeds differ a little."""
    far = abs(math.log10(config.training.lr) + 2) / 4 + abs(config["actdiff"] - 3) / 20
    return max(0.0, 0.9 - far + 0.01 * seed)


def nobody(trials):
    """Watch nothing."""


def search(plan, surface=hill, stop_before=None):
    engine = Scored(surface, stop_before)
    return run_search(plan, engine, nobody), engine


def told(trials):
    return [(one.number, one.status, one.values, one.scores) for one in trials]


@pytest.fixture
def early_models(monkeypatch):
    """Samplers that begin to model after three trials, not ten."""
    for name in ("TPESampler", "GPSampler"):
        sampler = getattr(optuna.samplers, name)
        monkeypatch.setattr(optuna.samplers, name, partial(sampler, n_startup_trials=3))


@pytest.mark.process
@pytest.mark.usefixtures("early_models")
def test_a_search_that_is_killed_again_and_again_is_the_straight_one(tmp_path):
    straight, engine = search(plan_of(tmp_path / "straight", trials=8, prune="seeds"))
    assert is_over(plan_of(tmp_path, trials=8), straight)
    assert {one.status for one in straight} == {"done", "pruned"}
    killed = plan_of(tmp_path / "killed", trials=8, prune="seeds")
    started = []
    for stop in (4, 9):
        part = Scored(hill, stop)
        with pytest.raises(KeyboardInterrupt):
            run_search(killed, part, nobody)
        started += part.started
    last, rest = search(killed)
    assert told(last) == told(straight)
    # What was stopped before it began is started again; nothing that ended is.
    assert started + rest.started == engine.started
    again, none = search(killed)
    assert told(again) == told(straight)
    assert none.started == []
    assert all(one.found for one in again)


@pytest.mark.process
def test_the_best_is_the_highest_mean_over_seeds_on_validation(tmp_path):
    trials, _ = search(plan_of(tmp_path, trials=3, seeds=(0, 5)))
    means = [sum(hill(one.config, seed) for seed in (0, 5)) / 2 for one in trials]
    best = best_of(trials, "accuracy")
    assert best.number == means.index(max(means))
    assert best.score == pytest.approx(max(means))
    assert best.scores == {seed: hill(best.config, seed) for seed in (0, 5)}
    assert best_of(trials, "loss").number == means.index(min(means))


@pytest.mark.process
@pytest.mark.usefixtures("early_models")
@pytest.mark.parametrize(("sampler", "trials"), [("gp", 5), ("random", 2)])
def test_other_samplers_repeat_themselves_by_their_seed(tmp_path, sampler, trials):
    one, _ = search(plan_of(tmp_path / "1", trials=trials, seeds=(0,), sampler=sampler))
    two, _ = search(plan_of(tmp_path / "2", trials=trials, seeds=(0,), sampler=sampler))
    other, _ = search(plan_of(tmp_path / "3", trials=1, seeds=(0,), sampler=sampler, seed=1))
    assert told(one) == told(two)
    assert len({one.values["lr"] for one in one}) == trials
    assert other[0].values != one[0].values


@pytest.mark.process
def test_a_hopeless_trial_gets_no_further_seed(tmp_path):
    bad = []

    def cliff(config, seed):
        # The sixth trial, the first that may be given up, and none before it.
        if config.training.lr not in bad:
            bad.append(config.training.lr)
        return 0.1 if bad.index(config.training.lr) == 5 else 0.8 + bad.index(config.training.lr) / 100

    trials, engine = search(plan_of(tmp_path, trials=7, prune="seeds"), cliff)
    assert [one.status for one in trials] == ["done"] * 5 + ["pruned", "done"]
    assert [seeds for name, seeds, _ in engine.started if name == "trial-0005"] == [(0,)]
    assert [seeds for name, seeds, _ in engine.started if name == "trial-0006"] == [(0,), (0, 1), (0, 1, 2)]
    assert trials[5].scores == {0: 0.1}
    assert best_of(trials, "accuracy").number == 6


@pytest.mark.process
def test_epochs_are_given_a_part_at_a_time(tmp_path):
    trials, engine = search(plan_of(tmp_path, trials=1, prune="epochs"))
    assert engine.started == [("trial-0000", (0, 1, 2), epochs) for epochs in (2, 4, 8)]
    assert trials[0].status == "done"
    for schedule in ({"schedule": "cosine"}, {"patience": 2}):
        with pytest.raises(UsageError, match="forbid; prune by seeds"):
            check_plan(plan_of(tmp_path, prune="epochs", settings=schedule))
    with pytest.raises(UsageError, match="no effect with one seed"):
        check_plan(plan_of(tmp_path, prune="seeds", seeds=(4,)))


@pytest.mark.process
def test_a_trial_that_fails_twice_is_spent_and_the_others_go_on(tmp_path):
    def steep(config, seed):
        return None if config.training.lr > 0.05 else hill(config, seed)

    plan = plan_of(tmp_path, trials=4, seeds=(0,))
    trials, engine = search(plan, steep)
    failed = [one for one in trials if one.config.training.lr > 0.05]
    assert failed
    assert [one.status for one in failed] == ["failed"] * len(failed)
    assert {one.error for one in failed} == {"boom"}
    names = [name for name, _, _ in engine.started]
    assert [names.count(one.name) for one in trials] == [2 if one in failed else 1 for one in trials]
    again, none = search(plan, steep)
    assert told(again) == told(trials)
    assert none.started == []


@pytest.mark.process
def test_where_nothing_succeeds_the_search_ends_and_tries_again_later(tmp_path):
    plan = plan_of(tmp_path, trials=4, seeds=(0,))
    trials, _ = search(plan, lambda config, seed: None)
    assert [one.status for one in trials] == ["failed"] * HOPELESS
    assert best_of(trials, "accuracy") is None
    assert not is_over(plan, trials)
    later, engine = search(plan)
    straight, _ = search(plan_of(tmp_path / "straight", trials=4, seeds=(0,)))
    assert told(later) == told(straight)
    assert len(engine.started) == 4


@pytest.mark.process
def test_settings_that_come_twice_are_trained_once(tmp_path):
    trials, engine = search(
        plan_of(tmp_path, "batch_size=8|16", trials=5, seeds=(0,)), lambda c, s: c["batch_size"] / 20
    )
    assert len(engine.started) == len({one.values["batch_size"] for one in trials})
    repeated = [one for one in trials if one.status == "repeated"]
    assert len(repeated) == 5 - len(engine.started) > 0
    assert all(one.scores == {0: one.values["batch_size"] / 20} for one in repeated)
    again, _ = search(plan_of(tmp_path, "batch_size=8|16", trials=5, seeds=(0,)))
    assert told(again) == told(trials)
    assert [one.folder for one in again] == [one.folder for one in trials]


@pytest.mark.process
def test_a_search_may_grow_and_no_other_takes_its_folder(tmp_path):
    search(plan_of(tmp_path, trials=2))
    grown, engine = search(plan_of(tmp_path, trials=3))
    assert [one.found for one in grown] == [True, True, False]
    assert {name for name, _, _ in engine.started} == {"trial-0002"}
    for changes, sentence in (
        ({"trials": 2}, "holds 3 trials already, more than the 2 asked for"),
        ({"over": "lr=1e-4..1:log,actdiff=0.1..20"}, "actdiff was 0.1..10.0, is 0.1..20.0"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"seeds": (0, 1)}, "seeds was 0-2, is 0-1"),
        ({"settings": {"epochs": 9}}, "epochs was 8, is 9"),
    ):
        with pytest.raises(UsageError, match="holds") as refused:
            search(plan_of(tmp_path, **{"trials": 3, **changes}))
        assert sentence in str(refused.value)
    with claimed_sweep(tmp_path, []), pytest.raises(InUse, match="is being written by"):
        search(plan_of(tmp_path, trials=3))


@pytest.mark.process
def test_a_damaged_database_is_told(tmp_path):
    (tmp_path / "search.sqlite").write_text("no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(DataError, match=r"search\.sqlite cannot be used"):
        search(plan_of(tmp_path))


def test_without_optuna_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'activmask\[search\]'"):
        search(plan_of(tmp_path))
    assert not list(tmp_path.iterdir())
