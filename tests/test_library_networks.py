"""Networks of torchvision and timm by name, with weights of files and out of the libraries' caches."""

import sys

import pytest
import timm
import torch
import torchvision
from foreign_networks import CLASSES, pictures
from safetensors.torch import save_file

import activmask as am
from activmask.ground.errors import CheckpointError, UsageError
from activmask.predictors.find import find_predictor
from activmask.predictors.preprocessing import Preprocessing

IMAGES = pictures(4, height=32, width=32)
AS_GIVEN = Preprocessing(size=32, mean=(0.0,), std=(1.0,))


def found(what, **said):
    said = {"class_names": CLASSES, "outputs": "logits", "preprocessing": AS_GIVEN, **said}
    return find_predictor(what, IMAGES, **said)


def saved(network, path):
    save_file(network.state_dict(), path)
    return path


def by_hand(network, images):
    with torch.no_grad():
        return network.eval()(images)


@pytest.mark.process
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "googlenet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_how_many_outputs_and_channels_follow_from_the_weights(tmp_path, name, channels):
    options = {"init_weights": False} if name == "googlenet" else {}
    network = torchvision.models.get_model(name, weights=None, num_classes=2, **options)
    if channels == 1:
        first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
        first.weight = torch.nn.Parameter(first.weight.detach()[:, :1].clone())
        first.in_channels = 1
        network.transform_input = False
    one = found(f"torchvision:{name}", weights=saved(network, tmp_path / "w.safetensors"))
    expected = by_hand(network, IMAGES.repeat(1, channels, 1, 1))
    torch.testing.assert_close(one.predictor.predict(IMAGES), expected, rtol=1e-3, atol=1e-3)
    assert one.predictor.module is not None


@pytest.mark.process
def test_what_torchvision_does_to_images_is_taken_where_nobody_says_and_told(tmp_path):
    network = torchvision.models.shufflenet_v2_x0_5(num_classes=2)
    weights = saved(network, tmp_path / "w.safetensors")
    one = found("torchvision:shufflenet_v2_x0_5", weights=weights, preprocessing=Preprocessing(size=32))
    assert one.notes[0].startswith(
        "Images are prepared as the library does for its own weights: mean 0.485, 0.456, 0.406, std 0.229, "
    )
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = by_hand(network, (IMAGES.repeat(1, 3, 1, 1) - mean) / std)
    torch.testing.assert_close(one.predictor.predict(IMAGES), expected, rtol=1e-3, atol=1e-3)
    one = found("torchvision:shufflenet_v2_x0_5", weights=weights, preprocessing=None)
    assert "resized to 224 x 224 px, mean 0.485" in one.notes[0]
    own = Preprocessing(function=lambda x: x.repeat(1, 3, 1, 1))
    one = found("torchvision:shufflenet_v2_x0_5", weights=weights, preprocessing=own)
    assert not any("as the library does" in note for note in one.notes)


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "channels"), [("test_resnet", 1), ("test_vit", 3), ("test_efficientnet", 3)]
)
def test_a_network_of_timm_with_weights_of_a_file(tmp_path, name, channels):
    network = timm.create_model(name, num_classes=3, in_chans=channels)
    images = pictures(4, height=160, width=160)
    one = find_predictor(
        f"timm:{name}",
        images,
        class_names=("a", "b", "c"),
        weights=saved(network, tmp_path / "w.safetensors"),
        outputs="logits",
    )
    mean, std = (torch.tensor(network.pretrained_cfg[of]).view(1, -1, 1, 1) for of in ("mean", "std"))
    prepared = images - 0.5 if channels == 1 else images.repeat(1, 3, 1, 1) - mean
    expected = by_hand(network, prepared / (0.5 if channels == 1 else std))
    torch.testing.assert_close(one.predictor.predict(images), expected, rtol=1e-3, atol=1e-3)
    assert "resized to 160 x 160 px, mean 0." in one.notes[0]
    assert am.attribute(one.predictor.module, images[:1], method="gradcam").shape == (1, 160, 160)


@pytest.mark.process
def test_the_weights_of_torchvision_come_out_of_its_cache(tmp_path, monkeypatch):
    network = torchvision.models.shufflenet_v2_x0_5()
    url = torchvision.models.get_model_weights("shufflenet_v2_x0_5").DEFAULT.url
    cache = tmp_path / "hub/checkpoints"
    cache.mkdir(parents=True)
    torch.save(network.state_dict(), cache / url.rpartition("/")[2])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    one = found("torchvision:shufflenet_v2_x0_5", weights="imagenet", class_outputs=(7, 5))
    expected = by_hand(network, IMAGES.repeat(1, 3, 1, 1))[:, [7, 5]]
    torch.testing.assert_close(one.predictor.predict(IMAGES), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(CheckpointError, match="has 1000 outputs and the data have 2 classes"):
        found("torchvision:shufflenet_v2_x0_5", weights="imagenet")


@pytest.mark.process
def test_the_weights_of_timm_come_out_of_the_cache_of_hugging_face(tmp_path, monkeypatch):
    network = timm.create_model("test_resnet")
    told = network.pretrained_cfg
    at = tmp_path / f"models--timm--test_resnet.{told['tag']}"
    snapshot = at / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (at / "refs").mkdir()
    (at / "refs/main").write_text("0" * 40)
    saved(network, snapshot / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    one = found("timm:test_resnet", weights="imagenet", class_outputs=(0, 1))
    expected = by_hand(network, IMAGES.repeat(1, 3, 1, 1))[:, :2]
    torch.testing.assert_close(one.predictor.predict(IMAGES), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(CheckpointError, match="timm:test_vit fails to load the library's own weights; found"):
        found("timm:test_vit", weights="imagenet")


@pytest.mark.parametrize(
    ("what", "weights", "sentence"),
    [
        (
            "torchvision:resnet19",
            "imagenet",
            "torchvision has no classifier 'resnet19'; did you mean 'resnet1",
        ),
        ("torchvision:resnet18", None, "needs weights; give a safetensors file, or imagenet"),
        ("timm:resnet19", "imagenet", "timm has no model 'resnet19'; the nearest are "),
        ("timm:", "imagenet", "timm has no model ''"),
        ("timm:resnet18", None, "timm:resnet18 needs weights"),
    ],
)
def test_what_a_library_does_not_have_is_told(what, weights, sentence):
    with pytest.raises(UsageError, match=sentence):
        found(what, weights=weights)


def test_without_timm_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"timm is not installed; install activmask\[timm\]"):
        found("timm:resnet18", weights="imagenet")


def test_weights_of_another_network_are_told(tmp_path):
    weights = saved(torchvision.models.squeezenet1_1(num_classes=2), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="does not hold the weights of torchvision:squeezenet1_0"):
        found("torchvision:squeezenet1_0", weights=weights)
