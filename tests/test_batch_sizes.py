"""A last batch of one image is known before training: it is added to the one before, or refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from in_process import told
from objective_settings import OBJECTIVES, each
from safetensors.torch import load_file
from torch import nn

from activmask.ground.errors import UsageError
from activmask.machine.world import ALONE, World
from activmask.models.build import build_model
from activmask.objectives import adversarial
from activmask.runs.making import make_config
from activmask.training import together
from activmask.training.feed import stream
from activmask.training.graphs import capture
from activmask.training.replicas.batch_sizes import Learners, batch_sizes, why_not_one
from activmask.training.replicas.replica import new_replica
from activmask.training.run import train

IMAGES = 48
"""Training images of the fixture `crosses`."""


def small(crosses: Path, **settings):
    settings = {"model": "mobilenet_v2", "lr": 1e-3, "epochs": 2, "batch_size": IMAGES - 1, **settings}
    return make_config(data=str(crosses), device="cpu", **settings)


def opened(config):
    return new_replica(config, 0, Path("nowhere"), torch.device("cpu"))


def learners(model: str, side: int, **settings) -> Learners:
    config = make_config(data="synthetic", model=model, **settings)
    network = build_model(config.network, channels=1, classes=2, image_size=side, seed=0)
    return Learners(
        name=model,
        objectives=config.objectives,
        model=network,
        discriminator=None,
        image=(1, side, side),
    )


@pytest.mark.parametrize(
    ("model", "side", "alone"),
    [
        ("mobilenet_v2", 28, False),
        ("mobilenet_v2", 40, True),
        ("resnet18", 8, False),
        ("resnet18", 16, True),
        ("cnn", 8, True),
    ],
)
def test_whether_one_image_can_be_learned_from_depends_on_layers_and_side(model, side, alone):
    settings = {} if model == "mobilenet_v2" else {"width": 2}
    assert (why_not_one(learners(model, side, **settings)) == "") == alone


@pytest.mark.parametrize("settings", each(name for name in OBJECTIVES if name != "dropout"))
def test_what_learned_from_one_image_still_does(crosses, settings):
    config = small(crosses, **{"model": "cnn", "width": 4, **settings})
    replica = opened(config)
    assert (replica.batch_sizes, replica.note) == ((IMAGES - 1, 1), "")


@pytest.mark.process
def test_one_image_is_added_to_the_batch_before_it_and_that_is_said(crosses, tmp_path):
    shown = told("train", *flags(crosses, tmp_path), "--batch-size", 47, cwd=tmp_path)
    assert shown.stderr.count("the last batch of an epoch has 48 images instead of 47") == 1
    assert (tmp_path / "run" / "seed-0" / "metrics.json").exists()


def flags(crosses: Path, out: Path) -> list[object]:
    return [
        *("--data", crosses, "--model", "mobilenet_v2", "--lr", 1e-3, "--epochs", 1, "--device", "cpu"),
        *("--out", out / "run"),
    ]


def test_single_images_are_refused_before_anything_is_written(crosses, tmp_path):
    shown = told("train", *flags(crosses, tmp_path), "--batch-size", 1, cwd=tmp_path, code=2)
    assert "each step would take a single image, which mobilenet_v2 cannot learn from" in shown.stderr
    assert "choose a larger batch_size" in shown.stderr
    assert not (tmp_path / "run").exists()


def test_a_single_training_image_is_refused():
    with pytest.raises(UsageError, match="train on more images"):
        batch_sizes(1, 32, learners("mobilenet_v2", 28), ALONE)
    assert batch_sizes(1, 32, learners("cnn", 8, width=2), ALONE) == ((1,), "")


def same_weights(one: Path, other: Path) -> bool:
    left, right = (load_file(folder / "seed-0" / "last.safetensors") for folder in (one, other))
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.process
def test_recorded_and_streamed_epochs_have_the_same_batches(crosses, tmp_path, monkeypatch):
    config = small(crosses, model="resnet18", width=2, image_size=8)
    train(config, out=tmp_path / "eager")
    with monkeypatch.context() as patched:
        patched.setattr(together, "why_not_recorded", lambda _replicas: "")
        patched.setattr(capture, "SEGMENT_STEPS", 2)
        train(config, out=tmp_path / "recorded")
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(stream, "worker_count", lambda _threads, _world: 0)
    train(config, out=tmp_path / "streamed")
    assert same_weights(tmp_path / "eager", tmp_path / "recorded")
    assert same_weights(tmp_path / "eager", tmp_path / "streamed")


def test_processes_share_what_one_would_take_and_none_is_left_with_one_image():
    two, net, plain = World(rank=0, size=2), learners("mobilenet_v2", 28), learners("cnn", 8, width=2)
    assert batch_sizes(48, 47, net, two)[0] == (48,)
    assert batch_sizes(48, 44, net, two)[0] == (44, 4)
    with pytest.raises(UsageError, match="has 3 images for 2 processes, so that one has a single image"):
        batch_sizes(48, 45, net, two)
    assert batch_sizes(48, 45, net, two, synced=True)[0] == (45, 3)
    assert batch_sizes(48, 45, plain, two)[0] == (45, 3)
    with pytest.raises(UsageError, match="has 1 images, fewer than the 2 processes"):
        batch_sizes(48, 47, plain, two)


def test_a_discriminator_that_needs_several_images_is_tried_too(crosses, monkeypatch):
    def normalising(features: int, *_: object) -> nn.Sequential:
        return nn.Sequential(nn.BatchNorm1d(features), nn.Linear(features, 1))

    config = small(crosses, model="cnn", width=4, adversarial=1.0)
    assert opened(config).batch_sizes == (47, 1)
    monkeypatch.setattr(adversarial, "discriminator", normalising)
    assert opened(config).batch_sizes == (48,)


def test_a_network_that_never_learns_is_refused():
    class Broken(nn.Module):
        def forward(self, images, reconstruct=True):
            raise ValueError("nothing fits")

    broken = replace(learners("cnn", 8, width=2), model=Broken())
    with pytest.raises(UsageError, match=r"cnn cannot be trained on images of 8 px \(nothing fits\)"):
        why_not_one(broken)


def test_trying_leaves_weights_statistics_and_generators_alone(crosses):
    some = learners("mobilenet_v2", 28)
    before = {name: tensor.clone() for name, tensor in some.model.state_dict().items()}
    state = torch.get_rng_state()
    assert why_not_one(some)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in some.model.state_dict().items())
    assert all(parameter.grad is None for parameter in some.model.parameters())
