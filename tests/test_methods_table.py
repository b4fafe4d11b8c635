"""A method of attribution is one entry and one line: a toy is found everywhere by being listed once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from in_process import told
from PIL import Image
from tiny_checkpoints import SIDE, tiny_checkpoint, write_checkpoint, write_image

from activmask.ground.errors import UsageError
from activmask.saliency.attribution import attribute
from activmask.saliency.methods import METHODS
from activmask.saliency.methods.method import Method


def bright(request, *, power):
    """The image itself, to a power; times the channels of the feature map, if it looks at one."""
    channels = 1 if request.feature_map is None else request.feature_map.channels
    return channels * request.images.detach().pow(power)


BRIGHT = Method(attribute=bright, help="how bright each pixel is", source="a toy", options={"power": 3})


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    monkeypatch.setitem(METHODS, "bright", BRIGHT)


def test_the_help_lists_it(tmp_path):
    text = " ".join(told("saliency", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    assert "bright: how bright each pixel is (a toy)" in text
    assert "Layer whose feature map gradcam or hirescam explains" in text


def test_its_map_is_drawn(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "best.safetensors")
    image = write_image(tmp_path / "a.png")
    told("saliency", checkpoint, image, "--method", "bright", "--raw", "raw.npy", cwd=tmp_path)
    with Image.open(image) as picture:
        pixels = np.asarray(picture, np.float32) / 255
    np.testing.assert_allclose(np.load(tmp_path / "raw.npy", allow_pickle=False), pixels**3, rtol=1e-5)
    with Image.open(tmp_path / "a.saliency.png") as picture:
        assert picture.format == "PNG"


def test_it_may_look_at_a_feature_map(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "bright", replace(BRIGHT, feature_map=True))
    checkpoint = write_checkpoint(tmp_path / "best.safetensors")
    options = ("--method", "bright", "--layer", "encoder.2.1", "--raw", "raw.npy")
    result = told("saliency", checkpoint, write_image(tmp_path / "a.png"), *options, cwd=tmp_path)
    assert "bright at encoder.2.1 (16 channels" in result.stdout
    assert np.load(tmp_path / "raw.npy", allow_pickle=False).max() == pytest.approx(16, rel=0.05)
    text = " ".join(told("saliency", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    assert "Layer whose feature map gradcam, hirescam or bright explains" in text


def test_what_it_cannot_use_is_refused(monkeypatch, tmp_path):
    model, images = tiny_checkpoint(tmp_path).model, torch.zeros(1, 1, SIDE, SIDE)
    with pytest.raises(UsageError, match="no effect on the method bright; leave it out or choose the method"):
        attribute(model, images, method="bright", layer="encoder.2.1")
    with pytest.raises(UsageError, match=r"no attribution method 'brigt'; did you mean 'bright'\?"):
        attribute(model, images, method="brigt")
    assert attribute(model, images, method="bright", target=1).shape == (1, SIDE, SIDE)
    monkeypatch.setitem(METHODS, "bright", replace(BRIGHT, between_classes=True))
    with pytest.raises(UsageError, match="the bright of two classes explains both at once"):
        attribute(model, images, method="bright", target=1)
