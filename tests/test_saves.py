"""When states are saved, of whom, and what is left where saving fails."""

import threading
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import small
from safetensors.torch import load_file

from activmask.ground.errors import DataError, TrainingDiverged
from activmask.machine import beside
from activmask.training import together
from activmask.training.graphs import replay
from activmask.training.replicas import saves
from activmask.training.replicas.saves import MOST_BETWEEN_SAVES, SECONDS_BETWEEN_SAVES, Saves, pause_after
from activmask.training.replicas.watcher import Callback
from activmask.training.run import train
from activmask.training.stacks import train as stacks

SEEDS = (0, 1, 2)


@pytest.fixture(params=["one network", "recorded"])
def engine(request, monkeypatch):
    """Train as on CUDA, on a device where nothing can be recorded; several seeds are written at once."""
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(together, "stacks_on", lambda _device: request.param == "one network")
    monkeypatch.setattr(beside, "cores", lambda: 4)
    for module in (stacks, replay):
        monkeypatch.setattr(module, "SECONDS_AHEAD", 0.0)
    return request.param


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(saves, "pause_after", lambda _took: -1.0)


class Heard(Callback):
    """What a watcher is told, and which of the seeds had a state by then."""

    def __init__(self, out):
        self.out, self.told, self.threads = out, [], set()

    def hear(self, *what):
        self.threads.add(threading.current_thread())
        on_disk = [seed for seed in SEEDS if (self.out / f"seed-{seed}/state.safetensors").exists()]
        self.told.append((*what, on_disk))

    def epoch(self, seed, row):
        self.hear("epoch", seed, row["epoch"])

    def saved(self, replica):
        self.hear("saved", replica.seed, replica.next_epoch - 1)

    def of(self, kind):
        return [(seed, epoch) for what, seed, epoch, _ in self.told if what == kind]


@given(st.floats(0, 1e5))
def test_saving_takes_a_twentieth_of_the_time_at_most_unless_more_than_minutes_were_at_stake(took):
    pause = pause_after(took)
    assert SECONDS_BETWEEN_SAVES <= pause <= MOST_BETWEEN_SAVES
    assert took <= (took + pause) / 20 * (1 + 1e-9) or pause == MOST_BETWEEN_SAVES
    assert pause in {SECONDS_BETWEEN_SAVES, MOST_BETWEEN_SAVES} or pause == pytest.approx(19 * took)


def stand_in(seed, **told):
    return SimpleNamespace(seed=seed, **{"next_epoch": 1, "saved_epoch": -1, "ended": False, **told})


@pytest.fixture
def clock(monkeypatch):
    """A second hand that saving moves on, for so long as `takes` says."""
    hand = SimpleNamespace(now=0.0, takes=0.0, saved=[])

    def save(replica):
        hand.now += hand.takes
        hand.saved.append(replica.seed)
        replica.saved_epoch = replica.next_epoch - 1

    monkeypatch.setattr(saves, "save", save)
    monkeypatch.setattr(saves, "perf_counter", lambda: hand.now)
    monkeypatch.setattr(beside, "cores", lambda: 1)
    return hand


def test_states_are_saved_by_the_seconds_that_were_trained_and_that_saving_took(clock):
    rule, replicas = Saves(), [stand_in(0), stand_in(1)]

    def saved_in(seconds, tell=lambda _: None):
        """After how many of so many seconds of training it was saved."""
        found = []
        for second in range(seconds):
            for replica in replicas:
                replica.next_epoch += 1
            rule.make(replicas, 10**6, tell, trained=1.0)
            if clock.saved:
                assert clock.saved == [0, 1]
                found.append(second + 1)
            clock.saved.clear()
        return found

    clock.takes = 2.0
    # The first after more than 20 s; it takes 4 s, and others come after more than 76 s each.
    assert saved_in(21) == [21]
    assert saved_in(2 * 77) == [77, 154]
    clock.takes = 0.1

    def slow(_):
        clock.now += 1000.0

    assert saved_in(77, slow) == [77]
    # What those who were told did with it is not counted.
    assert saved_in(42) == [21, 42]


def test_those_that_are_over_are_saved_at_once_and_nobody_twice(clock):
    rule, told = Saves(), []
    ended, going, over, saved = (
        stand_in(0, ended=True),
        stand_in(1),
        stand_in(2, next_epoch=5),
        stand_in(3, ended=True, saved_epoch=0),
    )
    for _ in range(2):
        rule.make([ended, going, over, saved], 5, lambda replica: told.append(replica.seed), trained=1.0)
    assert clock.saved == told == [0, 2]
    rule.make([ended, going, over, saved], 5, lambda replica: told.append(replica.seed), at_once=True)
    assert clock.saved == told == [0, 2, 1]


@pytest.mark.process
def test_no_state_is_written_before_its_time_not_even_after_the_first_epoch(crosses, tmp_path, engine):
    heard = Heard(tmp_path)
    train(small(crosses, epochs=3), seeds=SEEDS, out=tmp_path, progress=heard)
    assert all(on_disk == [] for what, *_, on_disk in heard.told if what == "epoch")
    assert heard.of("saved") == [(seed, 2) for seed in SEEDS]
    assert heard.threads == {threading.current_thread()}


@pytest.mark.process
@pytest.mark.usefixtures("always")
def test_where_it_is_time_every_seed_is_told_of_in_its_order(crosses, tmp_path, engine):
    heard = Heard(tmp_path)
    train(small(crosses, epochs=3), seeds=SEEDS, out=tmp_path, progress=heard)
    assert heard.of("saved") == [(seed, epoch) for epoch in range(3) for seed in SEEDS]
    assert heard.threads == {threading.current_thread()}


@pytest.mark.process
def test_where_nothing_can_be_recorded_all_that_was_trained_is_saved_and_goes_on(
    crosses, tmp_path, engine, monkeypatch
):
    def refuse(_):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(stacks, "record_stacked", refuse)
    monkeypatch.setattr(together, "record", refuse)
    heard = Heard(tmp_path / "run")
    train(small(crosses, epochs=4), seeds=SEEDS, out=tmp_path / "run", progress=heard)
    # As one network an epoch, seed by seed another, and then with a state after each.
    unsaved = 2 if engine == "one network" else 1
    assert heard.of("saved") == [(seed, epoch) for epoch in range(unsaved - 1, 4) for seed in SEEDS]
    assert all(on_disk == [] for what, _, epoch, on_disk in heard.told if epoch < unsaved and what == "epoch")


@pytest.mark.process
def test_a_seed_that_diverges_in_the_first_epoch_leaves_no_state_and_the_others_theirs(
    crosses, tmp_path, engine, monkeypatch
):
    # It would find the seed out before.
    monkeypatch.setattr(stacks, "why_another_step", lambda _group: "")

    class Poison(Callback):
        def start(self, replica):
            if replica.seed == 1:
                replica.train.images.fill_(torch.nan)

    with pytest.raises(TrainingDiverged, match=r"seed 1: .*no epoch of it was saved in"):
        train(small(crosses, epochs=3), seeds=SEEDS, out=tmp_path, progress=Poison())
    trained = {seed for seed in SEEDS if (tmp_path / f"seed-{seed}/state.safetensors").exists()}
    # Seed by seed, seed 2 had not begun.
    assert trained == ({0, 2} if engine == "one network" else {0})


@pytest.mark.process
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("cores", [1, 4])
def test_a_disk_that_refuses_one_seed_is_told_as_ever_and_the_others_are_whole(
    crosses, tmp_path, engine, monkeypatch, cores
):
    monkeypatch.setattr(beside, "cores", lambda: cores)

    class Blocks(Heard):
        def start(self, replica):
            if replica.seed == 1:
                (replica.folder / "state.safetensors/in the way").mkdir(parents=True)

    heard = Blocks(tmp_path)
    with pytest.raises(DataError) as refusal:
        train(small(crosses, epochs=3), seeds=SEEDS, out=tmp_path, progress=heard)
    assert refusal.value.path == tmp_path / "seed-1/state.safetensors"
    assert "cannot be written (Is a directory); move the folder" in str(refusal.value)
    assert heard.of("saved") == [(0, 0)]
    for seed in SEEDS:
        folder = tmp_path / f"seed-{seed}"
        assert not [path for path in folder.iterdir() if path.name.endswith(".partial")]
        if seed != 1 and (folder / "state.safetensors").exists():
            assert load_file(folder / "state.safetensors")
            assert (folder / "best.safetensors").exists()
            assert (folder / "history.csv").read_text().count("\n") == 2


@pytest.mark.process
@pytest.mark.usefixtures("always")
def test_what_fails_in_saving_is_no_refusal_of_the_device(crosses, tmp_path, engine, monkeypatch):
    def fail(_):
        raise RuntimeError("no memory on the host")

    monkeypatch.setattr(saves, "save", fail)
    with pytest.raises(RuntimeError, match="no memory on the host"):
        train(small(crosses, epochs=2), seeds=SEEDS, out=tmp_path)


@pytest.mark.process
def test_the_last_files_of_all_seeds_are_those_of_one_by_one(crosses, tmp_path, monkeypatch):
    for cores in (1, 4):
        monkeypatch.setattr(beside, "cores", partial(int, cores))
        train(small(crosses, epochs=2), seeds=SEEDS, out=tmp_path / f"{cores}/run")
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.name in {"last.safetensors", "best.safetensors", "metrics.json"}
        }
        for name in ("1", "4")
    )
    assert len(one) == 3 * len(SEEDS)
    assert one == other
