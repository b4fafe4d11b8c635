"""Watchers of training: several, of either kind, and what becomes of a run when one of them fails."""

import pytest
import torch
from recorded_runs import small
from test_training import assert_same_run

from activmask.training import together
from activmask.training.replicas.watcher import Callback
from activmask.training.run import train


class Diary(Callback):
    """Writes down all it is told."""

    def __init__(self):
        self.told = []

    def start(self, replica):
        self.told.append(("start", replica.seed, len(replica.history)))

    def step(self, seed, epoch, done, total):
        self.told.append(("step", seed, epoch))

    def epoch(self, seed, row):
        self.told.append(("epoch", seed, row["epoch"]))
        row.clear()

    def saved(self, replica):
        assert (replica.folder / "state.safetensors").is_file()
        self.told.append(("saved", replica.seed, replica.next_epoch - 1))

    def end(self, replica, metrics):
        assert not (replica.folder / "metrics.json").exists()
        self.told.append(("end", replica.seed, metrics["last"]["test"]["auc"]))

    def without_steps(self):
        return [one for one in self.told if one[0] != "step"]


class Bare:
    """No `Callback`, as a watcher from anywhere."""

    def __init__(self):
        self.rows = []

    def step(self, seed, epoch, done, total):
        pass

    def epoch(self, seed, row):
        self.rows.append(row)

    def note(self, sentence):
        pass


def test_each_of_several_watchers_is_told_of_all_and_training_is_untouched(crosses, tmp_path):
    config = small(crosses, epochs=2)
    diary, bare = Diary(), Bare()
    [watched] = train(config, out=tmp_path / "watched", progress=[diary, bare])
    [alone] = train(config, out=tmp_path / "alone")
    assert_same_run(watched.folder, alone.folder)
    assert diary.without_steps() == [
        ("start", 0, 0),
        ("epoch", 0, 0),
        ("saved", 0, 0),
        ("epoch", 0, 1),
        ("saved", 0, 1),
        ("end", 0, watched.metrics["last"]["test"]["auc"]),
    ]
    assert [row["epoch"] for row in bare.rows] == [0, 1]


@pytest.mark.parametrize("error", [RuntimeError("mine"), ValueError("mine")])
def test_what_a_callback_raises_ends_training_as_it_was_raised_and_the_run_resumes(crosses, tmp_path, error):
    class Failing(Callback):
        def epoch(self, seed, row):
            if row["epoch"] == 1:
                raise error from KeyError("its cause")

    config = small(crosses, epochs=3)
    with pytest.raises(type(error)) as caught:
        train(config, out=tmp_path / "failed", progress=Failing())
    assert caught.value is error
    assert isinstance(error.__cause__, KeyError)
    diary = Diary()
    [resumed] = train(config, out=tmp_path / "failed", resume=True, progress=diary)
    assert diary.without_steps()[:2] == [("start", 0, 2), ("epoch", 0, 2)]
    [straight] = train(config, out=tmp_path / "straight")
    assert_same_run(straight.folder, resumed.folder)


def test_a_callback_that_fails_at_the_end_leaves_the_run_unfinished(crosses, tmp_path):
    class Failing(Callback):
        def end(self, replica, metrics):
            raise LookupError("mine")

    config = small(crosses, epochs=1)
    with pytest.raises(LookupError):
        train(config, out=tmp_path / "run", progress=Failing())
    assert not (tmp_path / "run/seed-0/metrics.json").exists()
    assert train(config, out=tmp_path / "run", resume=True)[0].trained


@pytest.mark.process
def test_seeds_that_train_as_one_tell_the_network_of_what_was_saved_and_hide_no_failure(
    crosses, tmp_path, monkeypatch
):
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(together, "stacks_on", lambda _device: True)

    class Looking(Diary):
        def saved(self, replica):
            super().saved(replica)
            with torch.no_grad():
                replica.judged.eval()(replica.splits["valid"].images[:2])
            replica.judged.train()

        def epoch(self, seed, row):
            if row["epoch"] == 0 and fails:
                raise RuntimeError("mine")
            super().epoch(seed, row)

    config, fails = small(crosses, epochs=3, actdiff=1.0), True
    with pytest.raises(RuntimeError, match="mine"):
        train(config, (0, 1), tmp_path / "failed", progress=Looking())
    fails = False
    looking = Looking()
    stacked = train(config, (0, 1), tmp_path / "watched", progress=looking)
    assert {one[:2] for one in looking.told if one[0] == "saved"} == {("saved", 0), ("saved", 1)}
    for one, other in zip(stacked, train(config, (0, 1), tmp_path / "alone"), strict=True):
        assert_same_run(one.folder, other.folder)
