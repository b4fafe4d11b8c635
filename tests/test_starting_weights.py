"""Networks of libraries, weights to start from, parts that stay as they are: from training to an audit."""

import json

import pytest
import timm
import torch
import torchvision
from in_process import told
from safetensors.torch import load_file, save_file
from torch import nn

import activmask as am
from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.ground.errors import CheckpointError, UsageError
from activmask.models.build import build_model
from activmask.models.freezing import freeze, hold_still
from activmask.models.library_networks import own_weights
from activmask.models.settings import Network
from activmask.models.taps import Tapped
from activmask.models.weights import start_from
from activmask.runs.making import make_config
from activmask.runs.names import model_name, run_name

SMALL = ("--data", "d", "--batch-size", 16, "--device", "cpu", "--threads", 1, "--epochs", 1)
IMAGE = (1, 32, 32)
BITS = {"resnet": "fc", "densenet": "classifier", "mobilenet": "classifier.3", "squeezenet": "classifier.1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("started")
    make_synthetic(SyntheticSpec(n=16, valid=16, test=16, size=32), folder / "d")
    return folder


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """Torchvision's own loading of its own weights, out of a cache that holds what is drawn here."""
    cache = tmp_path / "hub/checkpoints"
    cache.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def cached(name):
        network = torchvision.models.get_model(name)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        torch.save(network.state_dict(), cache / url.rpartition("/")[2])
        return network.state_dict()

    return cached


def built(model, *, channels=1, classes=2, **settings):
    wanted = Network(model=model, **settings)
    return build_model(wanted, channels=channels, classes=classes, image_size=IMAGE[-1], seed=0)


@pytest.mark.process
def test_a_densenet_starts_from_the_librarys_own_weights_all_but_the_last_layer_frozen(place, imagenet):
    weights = imagenet("densenet121")
    command = ("--model", "torchvision:densenet121", "--weights", "imagenet", "--freeze", "backbone")
    said = told("train", *SMALL, *command, "--gradmask", 1, "--out", "dense", cwd=place)
    note = " ".join(said.stderr.split())
    assert "images are normalised as torchvision does for its own weights (mean 0.449; std 0.226)" in note
    count = len(weights) - 2
    assert f"{count} of the {len(weights)} tensors of imagenet are taken over, the last layer " in note
    assert "the last layer classifier is new; not taken: classifier.weight, classifier.bias" in note
    assert "features.conv0.weight of 3 channels is summed to one" in note
    assert "121 normalisations among them keep their statistics" in note
    held = load_file(place / "dense/seed-0/last.safetensors")
    torch.testing.assert_close(
        held["features.conv0.weight"], weights["features.conv0.weight"].sum(1, keepdim=True)
    )
    for name, tensor in weights.items():
        if not name.startswith(("classifier", "features.conv0")):
            assert torch.equal(held[name], tensor), name
    assert held["classifier.weight"].shape == (2, 1024)
    told("evaluate", "dense", cwd=place)  # Needs neither the library's weights nor a download.
    quick = ("--without", "looks", "--without", "leaks", "--draws", 1, "--json")
    assert json.loads(told("audit", "--model", "dense", *quick, cwd=place).stdout)


@pytest.mark.process
def test_a_network_of_timm_trains_under_actdiff_and_is_evaluated(place):
    said = told("train", *SMALL, "--model", "timm:test_resnet", "--actdiff", 1, "--out", "tiny", cwd=place)
    assert "timm:test_resnet" in said.stderr
    told("evaluate", "tiny", cwd=place)
    [found] = am.find_runs([place / "tiny"])
    assert model_name(found.config) == "test_resnet"
    assert run_name(found.config) == "synthetic-timm.test_resnet-actdiff1"


@pytest.mark.process
def test_a_run_starts_from_a_file_and_knows_it_again(place):
    started = place / "started.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=7).state_dict(), started)
    command = ("train", *SMALL, "--model", "timm:test_resnet", "--weights", started.name, "--out", "file")
    said = told(*command, cwd=place)
    assert ".weight of 3 channels is summed to one" in " ".join(said.stderr.split())
    described = json.loads((place / "file/seed-0/run.json").read_text())
    assert described["built_from"].keys() == {"weights"}
    assert "finished already" in told(*command, cwd=place).stdout
    weights = load_file(started)
    save_file({name: tensor + 1 for name, tensor in weights.items()}, started)
    changed = told(*command, cwd=place, code=2)
    assert "another network (started.safetensors is no longer what it was)" in changed.stderr
    started.unlink()
    told("evaluate", "file", cwd=place)  # A trained network no longer needs what it started from.


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_what_is_taken_over_and_what_is_not(imagenet, name):
    weights = imagenet(name)
    [head] = [found for begins, found in BITS.items() if name.startswith(begins)]
    network = built(f"torchvision:{name}").network
    drawn = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    notes = start_from(network, own_weights(f"torchvision:{name}"), name, name, head=head)
    first = next(key for key, tensor in weights.items() if tensor.ndim == 4)
    for key, tensor in network.state_dict().items():
        if key.startswith(f"{head}."):
            assert torch.equal(tensor, drawn[key])
        elif key == first:
            torch.testing.assert_close(tensor, weights[key].sum(dim=1, keepdim=True))
        else:
            assert torch.equal(tensor, weights[key]), key
    assert f"the last layer {head} is new" in notes[0]


def test_a_last_layer_of_as_many_classes_is_taken_over():
    network, other = built("resnet18").network, built("resnet18")
    other.network.fc.bias.data.fill_(3)
    notes = start_from(network, other.network.state_dict(), "w", "resnet18", head="fc")
    assert (network.fc.bias == 3).all()
    assert "the last layer fc among them" in notes[0]


def test_weights_of_another_network_are_refused_by_name_and_shape(place):
    with pytest.raises(CheckpointError, match=r"conv1\.weight is \(64, 1, 7, 7\) instead of \(64, 1, 3, 3\)"):
        start_from(
            built("resnet18").network,
            torchvision.models.resnet18().state_dict(),
            place / "w.safetensors",
            "resnet18",
            head="fc",
        )


def test_imagenet_needs_a_network_as_its_library_builds_it():
    with pytest.raises(UsageError, match=r"imagenet are those of torchvision:NAME and timm:NAME"):
        make_config(data="synthetic", model="resnet18", weights="imagenet")
    config = make_config(
        data="synthetic", model="torchvision:resnet18", weights="imagenet", freeze="conv1, layer1"
    )
    assert run_name(config) == "synthetic-torchvision.resnet18-imagenet-weights-frozen-conv1+layer1"


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("timm:test_resnett", "the nearest are test_resnet"),
        ("torchvision:resnett18", "no classifier 'resnett18'"),
    ],
)
def test_a_network_that_its_library_lacks_is_refused(model, why):
    with pytest.raises(UsageError, match=why):
        built(model)


def test_frozen_parts_neither_learn_nor_change_their_statistics():
    model = built("resnet18")
    assert "weights are frozen, and 5 normalisations" in freeze(model, "conv1,bn1,layer1", IMAGE)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    model.train()
    hold_still(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    loss = model(torch.rand(4, *IMAGE)).logits.square().sum()
    loss.backward()
    optimizer.step()
    after = model.network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {name for name in before if name.split(".")[0] in {"conv1", "bn1", "layer1"}}
    assert same == frozen


def test_every_normalisation_that_is_frozen_keeps_its_statistics():
    model = Tapped(
        nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        )
    )
    assert "1 normalisation among them keeps its statistics" in freeze(model, "backbone", (1, 16, 16))
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    model.train()
    hold_still(model)
    model(torch.rand(4, 1, 16, 16))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())


def test_the_backbone_of_the_papers_own_networks_is_all_but_its_head():
    model = built("unet", width=4)
    freeze(model, "backbone", IMAGE)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("what", "why"),
    [("layer9", "has no part 'layer9'"), ("conv1,bn1,layer1,layer2,layer3,layer4,fc", "no weight to train")],
)
def test_what_cannot_be_frozen_is_refused(what, why):
    with pytest.raises(UsageError, match=why):
        freeze(built("resnet18"), what, IMAGE)
