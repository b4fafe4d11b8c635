"""Recorded epochs: the same numbers as step by step, and nothing for the host to do meanwhile."""

import csv
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from activmask.config import make_config
from activmask.data.samples import Samples
from activmask.errors import TrainingDiverged
from activmask.models import build_model
from activmask.training import recorded, recording, together
from activmask.training.checkpoint import snapshot
from activmask.training.device_epoch import (
    Judged,
    _auc,
    judge_epoch,
    judged,
    new_health,
    new_segment,
    take_steps,
)
from activmask.training.progress import Silent
from activmask.training.randomness import derived_generator
from activmask.training.recording import draws_at_random, why_not_recorded
from activmask.training.replica import new_replica
from activmask.training.run import train
from activmask.training.scoring import score

OBJECTIVES = {
    "actdiff": {"model": "resnet18", "actdiff": 10.0},
    "gradmask": {"model": "cnn", "gradmask": 1.0, "eval_train": True},
    "reconstruct masked": {"model": "unet", "recon_masked": True, "actdiff": 1.0},
    "rrr": {"model": "cnn", "rrr": 1.0},
    "adversarial": {"model": "cnn", "adversarial": 1.0, "adversarial_steps": 2},
    "controls": {"model": "ae", "classify_shuffled": True, "cutout": 9},
    "classify masked": {"model": "cnn", "classify_masked": "all", "precision": "bf16"},
    "crop and flip": {"model": "cnn", "augment": "crop-flip", "image_size": 24, "actdiff": 1.0},
}
"""Together they take every path of a step."""


def small(crosses: Path, **settings):
    settings = {"model": "cnn", "width": 4, "epochs": 4, "lr": 1e-3, "batch_size": 12, **settings}
    return make_config(data=str(crosses), **settings)


@pytest.fixture
def unrecorded_form(monkeypatch):
    """Train as on CUDA, in segments of two steps, on a device where nothing can be recorded."""
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(recording, "SEGMENT_STEPS", 2)


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{k: v for k, v in row.items() if k not in {"seconds", "images_per_second"}} for row in rows]


def assert_same_run(one: Path, other: Path) -> None:
    for ours, theirs in zip(history(one), history(other), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # The AUC alone is counted in another way.
            assert value == (
                pytest.approx(theirs[name], abs=1e-12) if name.endswith("_auc") else theirs[name]
            )
    assert (one / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()
    for name in ("best.safetensors", "last.safetensors"):
        left, right = load_file(one / name), load_file(other / name)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("settings", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_same_bits_as_step_by_step(crosses, tmp_path, settings, monkeypatch):
    config = small(crosses, **settings)
    train(config, out=tmp_path / "eager")
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(recording, "SEGMENT_STEPS", 2)
    train(config, out=tmp_path / "recorded")
    assert_same_run(tmp_path / "eager/seed-0", tmp_path / "recorded/seed-0")


@pytest.mark.usefixtures("unrecorded_form")
def test_a_replica_does_not_depend_on_its_neighbours(crosses, tmp_path):
    config = small(crosses, model="resnet18", actdiff=1.0)
    train(config, seeds=(0, 1, 2), out=tmp_path / "together")
    train(config, seeds=(1,), out=tmp_path / "alone")
    assert_same_run(tmp_path / "together/seed-1", tmp_path / "alone/seed-1")


@pytest.mark.usefixtures("unrecorded_form")
@pytest.mark.parametrize("lr", [1e-3, 1e-12])
def test_stopped_between_saves_it_resumes_to_the_same_bits(crosses, tmp_path, monkeypatch, lr):
    config = small(crosses, epochs=7, lr=lr)
    train(config, out=tmp_path / "straight")
    monkeypatch.setattr(recorded, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(recorded, "SECONDS_AHEAD", 0.0)

    class Impatient(Silent):
        def epoch(self, seed, row):
            if row["epoch"] == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "resumed", progress=Impatient())
    assert len(history(tmp_path / "resumed/seed-0")) == 4
    train(config, out=tmp_path / "resumed", resume=True)
    assert_same_run(tmp_path / "straight/seed-0", tmp_path / "resumed/seed-0")


@pytest.mark.usefixtures("unrecorded_form")
def test_a_best_epoch_between_two_saves_survives_a_lost_best_file(crosses, tmp_path):
    longer = small(crosses, epochs=6, lr=3e-3)
    results = train(small(crosses, epochs=5, lr=3e-3), seeds=range(6), out=tmp_path / "cut")
    [seed, *_] = [each.seed for each in results if 0 < each.metrics["best_epoch"] < 4]
    folder = tmp_path / f"cut/seed-{seed}"
    assert any(name.startswith("best.") for name in load_file(folder / "state.safetensors"))
    (folder / "best.safetensors").unlink()
    (folder / "metrics.json").unlink()
    [resumed] = train(longer, seeds=(seed,), out=tmp_path / "cut", resume=True)
    [straight] = train(longer, seeds=(seed,), out=tmp_path / "straight")
    assert_same_run(straight.folder, resumed.folder)


@pytest.mark.usefixtures("unrecorded_form")
def test_a_loss_that_is_not_finite_stops_the_run_and_changes_no_weight(crosses, tmp_path):
    config = small(crosses, model="cnn", lr=1e38)
    with pytest.raises(TrainingDiverged, match=r"seed 1: the .* no longer finite"):
        train(config, seeds=(1,), out=tmp_path / "run")


def prepared(crosses, **settings):
    return new_replica(small(crosses, **settings), 0, Path("unused"), torch.device("cpu"))


def test_a_step_that_is_not_finite_leaves_weights_and_optimizer_as_they_were(crosses):
    replica = prepared(crosses)
    health, segment = new_health(replica), new_segment(replica, (12, 12))
    generator = derived_generator(0, "step")
    take_steps(replica, segment, health, generator)
    before = [tensor.clone() for tensor in replica.model.parameters()]
    states = [value.clone() for state in replica.optimizer.state.values() for value in state.values()]
    assert isinstance(replica.train, Samples)
    replica.train.images[0] = torch.nan
    take_steps(replica, segment, health, generator)
    replica.train.images[0] = 0
    take_steps(replica, segment, health, generator)
    assert health.stopped == 1
    after = [value for state in replica.optimizer.state.values() for value in state.values()]
    assert all(torch.equal(a, b) for a, b in zip(before, replica.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(states, after, strict=True))


class NoHost(TorchDispatchMode):
    """Refuses whatever would make the host wait for the device, or have a shape that depends on values."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "item")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert not any(name.startswith(word) for word in self.FORBIDDEN), name
        if name.startswith("index"):
            assert all(index is None or index.dtype != torch.bool for index in args[1]), "indexed by a mask"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_host_reads_nothing_within_an_epoch(crosses, settings):
    replica = prepared(crosses, **settings)
    health, segment = new_health(replica), new_segment(replica, (12, 7))
    splits = {"valid": judged(replica, "valid")}
    replica.best_weights = snapshot(replica.model)
    verdict = torch.zeros(5, dtype=torch.float64)
    take_steps(replica, segment, health, derived_generator(0, "step"))
    with NoHost():
        take_steps(replica, segment, health, derived_generator(0, "step"))
        judge_epoch(replica, splits, health, verdict)
    assert verdict[1] == 1


def test_the_watch_for_host_reads_can_fail():
    with pytest.raises(AssertionError), NoHost():
        torch.ones(()).item()


@given(
    st.integers(2, 4).flatmap(
        lambda classes: st.tuples(
            st.just(classes),
            st.lists(
                st.tuples(
                    st.integers(0, classes - 1),
                    st.lists(st.integers(-3, 3), min_size=classes, max_size=classes),
                ),
                max_size=30,
            ),
        )
    )
)
def test_the_auc_is_that_of_scikit_learn(case):
    classes, images = case
    labels = torch.tensor([*range(classes), *(label for label, _ in images)])
    logits = torch.tensor([[0] * classes] * classes + [row for _, row in images]).float()
    ranked = [1] if classes == 2 else range(classes)
    members = tuple(((labels == own).nonzero()[:, 0], (labels != own).nonzero()[:, 0]) for own in ranked)
    ours = _auc(logits.double(), Judged(images=logits, labels=labels, members=members))
    assert float(ours) == pytest.approx(score(logits, labels).auc, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "draws"), [("mobilenet_v3_small", True), ("resnet18", False), ("unet", False)]
)
def test_networks_that_draw_random_numbers_are_known(model, draws):
    network = build_model(make_config(model=model), channels=1, classes=2, image_size=32, seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert draws_at_random(network, torch.rand(2, 1, 32, 32)) is draws
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_only_cuda_records(crosses):
    assert "CUDA" in why_not_recorded([prepared(crosses)])


@pytest.mark.usefixtures("unrecorded_form")
def test_where_recording_fails_it_says_so_and_trains_step_by_step(crosses, tmp_path, monkeypatch):
    config = small(crosses)
    train(config, out=tmp_path / "recorded")
    told = []

    class Listening(Silent):
        def note(self, sentence):
            told.append(sentence)

    def refuse(_replica):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(together, "record", refuse)
    train(config, out=tmp_path / "eager", progress=Listening())
    assert_same_run(tmp_path / "recorded/seed-0", tmp_path / "eager/seed-0")
    assert len(told) == 1
    assert "operation not permitted" in told[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("settings", OBJECTIVES.values(), ids=OBJECTIVES)
def test_graphs_give_the_numbers_of_step_by_step_on_cuda(crosses, tmp_path, settings, monkeypatch):
    config = small(crosses, device="cuda", **settings)
    told = []

    class Listening(Silent):
        def note(self, sentence):
            told.append(sentence)

    train(config, seeds=(0, 1), out=tmp_path / "recorded", progress=Listening())
    assert told == []
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "as a test")
    train(config, seeds=(0, 1), out=tmp_path / "eager")
    for seed in ("seed-0", "seed-1"):
        ours, theirs = (
            load_file(tmp_path / way / seed / "last.safetensors") for way in ("recorded", "eager")
        )
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-2, atol=1e-3)
