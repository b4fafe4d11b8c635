"""A network is one entry and one line: a toy defined here is found everywhere by being listed once."""

import csv
from dataclasses import replace

import pytest
import torch
from in_process import told
from torch import nn

from activmask.ground.errors import UsageError
from activmask.models import MODELS
from activmask.models.build import build_model
from activmask.models.model import Model
from activmask.models.taps import Tapped
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.making import make_config
from activmask.runs.names import model_name, run_name


def build(wanted, *, channels, classes, image_size):
    return Tapped(
        nn.Sequential(
            nn.Conv2d(channels, wanted.width, 3),
            nn.ReLU(),
            nn.AvgPool2d(image_size - 2),
            nn.Flatten(),
            nn.Linear(wanted.width, classes),
        )
    )


TOY = Model(
    build=build,
    source="a toy",
    label="Toy net",
    any_width=True,
    usual_width=6,
    smallest_side=5,
    defaults={"actdiff_norm": "layer"},
)


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    """Beside the networks that these tests name, whatever else may be listed by now."""
    for name in MODELS.keys() - {"cnn", "ae", "unet", "resnet18", "resnet34"}:
        monkeypatch.delitem(MODELS, name)
    monkeypatch.setitem(MODELS, "toy", TOY)


def built(model, side=8, **settings):
    config = make_config(model=model, **settings)
    return build_model(config.network, channels=1, classes=2, image_size=side, seed=0)


def test_the_help_lists_it_with_what_is_true_of_it(tmp_path):
    text = " ".join(told("train", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    assert "resnet18, resnet34 (torchvision), toy (a toy), or any other torchvision classifier." in text
    assert "unet, resnet18, resnet34 and toy)" in text
    assert "layer for toy" in text
    assert "liver, cardiac, pancreas, xray), 6 for toy, else 64" in text


def test_it_is_known_by_its_name():
    with pytest.raises(UsageError, match=r"no model 'toi'; did you mean 'toy'\? Known: cnn, ae, unet, toy, "):
        built("toi")
    with pytest.raises(UsageError, match="images of 4 px are too small for toy, which needs 5"):
        built("toy", side=4)
    with pytest.raises(UsageError, match="leave width at 64 or use cnn, ae, unet, resnet18, resnet34, toy"):
        built("densenet121", width=2)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model": "toy", "recon": 1.0}, "toy has no decoder, so it cannot reconstruct; use ae or unet, or"),
        ({"model": "toy", "head": "released"}, "head has no effect on networks other than ResNets"),
        ({"model": "toy", "sync_batchnorm": True}, "no effect on cnn, ae, unet and toy, which have no batch"),
    ],
)
def test_what_it_cannot_do_is_refused(settings, reason):
    with pytest.raises(UsageError, match=reason):
        make_config(**settings)


def test_what_it_can_do_is_taken(monkeypatch):
    abilities = {"decoder": True, "batch_norm": True, "heads": ("pooled", "released")}
    monkeypatch.setitem(MODELS, "toy", replace(TOY, **abilities))
    config = make_config(model="toy", head="released", sync_batchnorm=True)
    assert config["recon"] == 10.0
    assert make_config(model="toy", preset="liver")["recon"] == 1.0
    with pytest.raises(UsageError, match="cannot reconstruct; use ae, unet or toy, or set recon to 0"):
        make_config(model="cnn", recon=1.0)
    with pytest.raises(UsageError, match=r"recon_masked needs .*: use the model ae, unet or toy with recon"):
        make_config(model="toy", recon=0.0, recon_masked=True)


def test_a_width_that_is_fixed_is_its_own(monkeypatch):
    monkeypatch.setitem(MODELS, "toy", replace(TOY, any_width=False))
    assert built("toy").network[0].out_channels == 6
    with pytest.raises(UsageError, match="the width of toy is fixed; leave width at 6 or use"):
        built("toy", width=64)


def test_a_width_may_be_the_presets(monkeypatch):
    monkeypatch.setitem(MODELS, "toy", replace(TOY, usual_width=None))
    assert make_config(model="toy").network.width == 16
    assert make_config(model="toy", preset="xray").network.width == 64
    assert run_name(make_config(model="toy", preset="xray", width=16)) == "xray-toyw16"


def test_its_own_defaults_are_no_part_of_its_name():
    config = make_config(model="toy", actdiff=2.0)
    assert config["actdiff_norm"] == "layer"
    assert config.network.width == 6
    assert run_name(config) == "synthetic-toy-actdiff2"
    assert run_name(make_config(model="toy", width=3, actdiff=2.0, actdiff_norm="row")) == (
        "synthetic-toyw3-actdiff2-row"
    )
    assert model_name(config) == "Toy net"


def test_it_is_trained_tabulated_and_read_again(crosses, tmp_path):
    chosen = ("--model", "toy", "--actdiff", "1", "--lr", "0.01", "--epochs", "2", "--device", "cpu")
    told("train", "--data", crosses, *chosen, cwd=tmp_path)
    seed = tmp_path / "runs" / "synthetic-toy-actdiff1" / "seed-0"
    assert "loss_actdiff" in (seed / "history.csv").read_text()
    told("table", "runs", "--format", "csv", "--out", "out.csv", cwd=tmp_path)
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["Toy net"]
    trained = load_checkpoint(seed / "last.safetensors").model
    untrained = built("toy", side=28)
    assert trained.network[0].weight.shape == untrained.network[0].weight.shape == (6, 1, 3, 3)
    assert not torch.equal(trained.network[0].weight, untrained.network[0].weight)
