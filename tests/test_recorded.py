"""Recorded epochs: the same numbers as step by step, seed by seed, resumed or not."""

import csv
import weakref
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from recorded_runs import RECORDED, small
from safetensors.torch import load_file

from activmask.ground.errors import TrainingDiverged
from activmask.models.build import build_model
from activmask.models.settings import Network
from activmask.runs.description import changed
from activmask.training import together
from activmask.training.graphs import capture as recording
from activmask.training.graphs import replay as recorded
from activmask.training.graphs.capture import draws_at_random, why_not_recorded
from activmask.training.replicas import saves
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train


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


@pytest.mark.process
@pytest.mark.parametrize("settings", RECORDED)
def test_the_same_bits_as_step_by_step(crosses, tmp_path, settings, monkeypatch):
    config = small(crosses, **settings)
    train(config, out=tmp_path / "eager")
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(recording, "SEGMENT_STEPS", 2)
    train(config, out=tmp_path / "recorded")
    assert_same_run(tmp_path / "eager/seed-0", tmp_path / "recorded/seed-0")


@pytest.mark.process
@pytest.mark.usefixtures("unrecorded_form")
def test_a_replica_does_not_depend_on_its_neighbours(crosses, tmp_path):
    config = small(crosses, model="resnet18", actdiff=1.0)
    train(config, seeds=(0, 1, 2), out=tmp_path / "together")
    train(config, seeds=(1,), out=tmp_path / "alone")
    assert_same_run(tmp_path / "together/seed-1", tmp_path / "alone/seed-1")


@pytest.mark.process
@pytest.mark.usefixtures("unrecorded_form")
@pytest.mark.parametrize("lr", [1e-3, 1e-12])
def test_stopped_between_saves_it_resumes_to_the_same_bits(crosses, tmp_path, monkeypatch, lr):
    config = small(crosses, epochs=7, lr=lr)
    train(config, out=tmp_path / "straight")
    monkeypatch.setattr(saves, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(saves, "MOST_OF_THE_TIME", 1.0)
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


@pytest.mark.process
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


class Poison(Silent):
    """Makes one seed's images NaN once it has finished an epoch."""

    def __init__(self, seed, epoch):
        self.seed, self.at, self.replicas = seed, epoch, {}

    def record(self, replica):
        self.replicas[replica.seed] = replica
        return recording.record(replica)

    def epoch(self, seed, row):
        if (seed, row["epoch"]) == (self.seed, self.at):
            self.replicas[seed].train.images.fill_(torch.nan)


@pytest.mark.usefixtures("unrecorded_form")
def test_a_seed_that_is_no_longer_finite_stops_the_run_and_the_others_are_saved(
    crosses, tmp_path, monkeypatch
):
    poison = Poison(seed=1, epoch=2)
    monkeypatch.setattr(together, "record", poison.record)
    monkeypatch.setattr(recorded, "SECONDS_AHEAD", 0.0)
    monkeypatch.setattr(saves, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(saves, "MOST_OF_THE_TIME", 1.0)
    config = small(crosses, epochs=6)
    with pytest.raises(TrainingDiverged, match=r"seed 1: the loss is no longer finite in epoch 4, step 1"):
        train(config, seeds=(0, 1), out=tmp_path / "run", progress=poison)
    assert len(history(tmp_path / "run/seed-1")) == 3
    assert len(history(tmp_path / "run/seed-0")) == 4
    state = load_file(tmp_path / "run/seed-1/state.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values())
    for name, tensor in poison.replicas[1].model.named_parameters():
        assert torch.equal(tensor, state[f"model.{name}"])


def test_images_per_second_count_the_epochs_that_were_launched(crosses, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(recorded, "perf_counter", iter(range(1000)).__next__)
    monkeypatch.setattr(recorded, "SECONDS_AHEAD", 50.0)
    [result] = train(small(crosses, epochs=7), out=tmp_path / "run")
    with (result.folder / "history.csv").open(newline="") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    # One epoch eagerly, one launched by itself, then all five that are left at once.
    assert seconds[1:] == [1.0] + [0.2] * 5


class StandIn:
    """For a CUDA graph, where there is no CUDA."""

    def register_generator_state(self, generator):
        pass

    def replay(self):
        pass


def test_a_replay_owns_what_its_graph_reads(monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", StandIn)
    monkeypatch.setattr(torch.cuda, "graph", lambda *_args, **_kwargs: nullcontext())
    monkeypatch.setattr(recording, "on", lambda _stream: nullcontext())
    read_by_graph = torch.ones(3)
    alive = weakref.ref(read_by_graph)
    recorder = recording.Recorder(generators=(torch.Generator(),), stream="a stream", pool=None)
    replay = recording.recorded(partial(torch.sum, read_by_graph), recorder)
    del read_by_graph
    assert alive() is not None
    replay()
    del replay
    assert alive() is None


def prepared(crosses, **settings):
    return new_replica(small(crosses, **settings), 0, Path("unused"), torch.device("cpu"))


@pytest.mark.parametrize(
    ("model", "draws"), [("mobilenet_v3_small", True), ("resnet18", False), ("unet", False)]
)
def test_networks_that_draw_random_numbers_are_known(model, draws):
    network = build_model(Network(model=model), channels=1, classes=2, image_size=32, seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert draws_at_random(network, torch.rand(2, 1, 32, 32)) is draws
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_the_follow_ups_discriminator_and_compiled_passes_are_not_recorded(crosses):
    replica = prepared(crosses)
    plain = replica.config
    reasons = {
        "the network's passes are compiled": {"compile": True},
        "the discriminator takes steps of its own": {
            "adversarial": 1.0,
            "adversarial_form": "followup",
        },
        "": {"adversarial": 1.0},
    }
    for reason, chosen in reasons.items():
        replica.config = changed(plain, **chosen)
        assert recording._unrecordable(replica) == reason


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


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("settings", RECORDED)
def test_graphs_give_the_numbers_of_step_by_step_on_cuda(crosses, tmp_path, settings, monkeypatch):
    # Seed by seed, as where they cannot train as one network.
    monkeypatch.setattr(together, "stacks_on", lambda _device: False)
    # Five steps of ten images, the last of eight: one graph runs twice and another once.
    monkeypatch.setattr(recording, "SEGMENT_STEPS", 2)
    config = small(crosses, device="cuda", batch_size=10, **settings)
    told = []

    class Listening(Silent):
        def note(self, sentence):
            told.append(sentence)

    ours = train(config, seeds=(0, 1, 2), out=tmp_path / "recorded", progress=Listening())
    # A seed may run out of patience, and says so.
    assert [sentence for sentence in told if "ends early" not in sentence] == []
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "as a test")
    theirs = train(config, seeds=(0, 1, 2), out=tmp_path / "eager")
    for one, other in zip(ours, theirs, strict=True):
        for row, same in zip(history(one.folder), history(other.folder), strict=True):
            for name, value in row.items():
                # Sixteen images: a pair or an image that changes sides is 1/64 or 1/16.
                loose = 0.07 if name.endswith(("_auc", "_accuracy")) else 1e-3 * abs(same[name])
                assert value == pytest.approx(same[name], abs=loose)
        for file in ("last.safetensors", "best.safetensors"):
            if one.metrics["best_epoch"] == other.metrics["best_epoch"]:
                left, right = load_file(one.folder / file), load_file(other.folder / file)
                for name, tensor in left.items():
                    torch.testing.assert_close(tensor, right[name], rtol=1e-2, atol=2e-4)
