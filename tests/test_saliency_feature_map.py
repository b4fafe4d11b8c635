import pytest
import torch
import torchvision
from captum.attr import LayerAttribution, LayerGradCam
from tiny_checkpoints import tiny_config
from torch import nn

from activmask.ground.errors import UsageError
from activmask.models.build import build_model
from activmask.models.output import ModelOutput
from activmask.models.taps import Tapped
from activmask.models.torchvision_models import torchvision_classifier
from activmask.saliency.attribution import attribute
from activmask.saliency.feature_map import as_map, find_feature_map

FAMILIES = {
    # member: side in px, the last feature map, its channels and positions a side
    "alexnet": (96, "features.11", 256, 5),
    "convnext_tiny": (64, "features", 768, 2),
    "densenet121": (32, "features", 1024, 4),
    "efficientnet_b0": (64, "features", 1280, 2),
    "efficientnet_v2_s": (64, "features", 1280, 2),
    "googlenet": (64, "inception5b", 1024, 2),
    "inception_v3": (128, "Mixed_7c", 2048, 2),
    "maxvit_t": (224, "blocks.3", 512, 7),
    "mnasnet0_5": (64, "layers", 1280, 2),
    "mobilenet_v2": (64, "features", 1280, 2),
    "mobilenet_v3_small": (64, "features", 576, 2),
    "regnet_y_400mf": (64, "trunk_output", 440, 2),
    "resnet18": (28, "layer4", 512, 4),
    "resnext50_32x4d": (28, "layer4", 2048, 4),
    "shufflenet_v2_x0_5": (64, "conv5", 1024, 2),
    "squeezenet1_0": (64, "features", 512, 3),
    "squeezenet1_1": (64, "features", 512, 3),
    "swin_t": (64, "permute", 768, 2),
    "swin_v2_t": (64, "permute", 768, 2),
    "vgg11": (32, "features.19", 512, 2),
    "vgg11_bn": (32, "features.27", 512, 2),
    "vit_b_32": (224, "encoder.layers.encoder_layer_11.ln_1", 768, 7),
    "wide_resnet50_2": (28, "layer4", 2048, 4),
}


def on_meta(name, side):
    """A network and a blank image of shapes alone, which cost nothing to compute."""
    # RegNet computes its widths with tensors, which need values.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        model = Tapped(torchvision_classifier(name, channels=1, classes=2, width=64)).eval()
    return model.to("meta"), torch.zeros(1, 1, side, side, device="meta")


def test_every_family_of_torchvision_is_tested():
    known = torchvision.models.list_models(module=torchvision.models)
    families = {name.rstrip("0123456789").split("_")[0].rstrip("0123456789") for name in FAMILIES}
    assert [name for name in known if not any(name.startswith(family) for family in families)] == []


@pytest.mark.process
@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_feature_map_of_each_family(name):
    side, layer, channels, positions = FAMILIES[name]
    found = find_feature_map(*on_meta(name, side))
    assert (found.name, found.channels, found.height, found.width) == (layer, channels, positions, positions)


def test_what_a_map_says_in_words():
    assert str(find_feature_map(*on_meta("resnet18", 28))) == "layer4 (512 channels, 4 x 4)"


@pytest.mark.parametrize("name", ["cnn", "ae", "unet"])
def test_a_convnets_is_that_of_its_last_encoder_block(name):
    model = build_model(tiny_config(model=name).network, channels=1, classes=2, image_size=16, seed=0)
    found = find_feature_map(model, torch.zeros(1, 1, 16, 16))
    assert (found.name, found.channels, found.height) == ("encoder.3.1", 32, 2)


def test_the_layer_before_a_single_position_is_no_branch():
    with pytest.raises(UsageError, match=r"such as Mixed_6e$"):
        find_feature_map(*on_meta("inception_v3", 96))


@pytest.mark.parametrize(("name", "side"), [("efficientnet_b0", 28), ("mobilenet_v3_small", 32)])
def test_a_single_position_is_refused_and_a_layer_before_it_named(name, side):
    model, image = on_meta(name, side)
    with pytest.raises(
        UsageError, match=r"the last feature map, features \(\d+ channels, 1 x 1\), has"
    ) as hint:
        find_feature_map(model, image)
    assert find_feature_map(model, image, str(hint.value).rpartition(" ")[2]).height > 1


def test_a_layer_can_be_chosen_and_an_unknown_one_lists_the_nearest():
    model, image = on_meta("resnet18", 28)
    assert str(find_feature_map(model, image, "layer3")) == "layer3 (256 channels, 7 x 7)"
    with pytest.raises(UsageError, match=r"no layer 'layer5'; the nearest of its \d+ feature maps: layer\d"):
        find_feature_map(model, image, "layer5")
    with pytest.raises(UsageError, match="the layer 'fc' gives no feature map"):
        find_feature_map(model, image, "fc")
    with pytest.raises(UsageError, match=r"the layer 'layer4.1.relu' runs several times in one pass"):
        find_feature_map(model, image, "layer4.1.relu")


def test_outputs_in_every_layout_become_maps():
    maps = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    tokens = maps.flatten(2).movedim(1, 2)
    with_class = torch.cat([torch.full((2, 1, 3), -1.0), tokens], dim=1)
    for output in (maps, maps.movedim(1, 3), tokens, with_class):
        assert torch.equal(as_map(output), maps)
    for shape in ((2, 3), (2, 15, 3)):
        with pytest.raises(ValueError, match="no place in an image"):
            as_map(torch.zeros(shape))


class Tokens(nn.Module):
    """Patches mixed by a linear layer, then averaged: its last features are tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mix, self.head = nn.Conv2d(1, 4, 4, stride=4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, images, reconstruct=True):
        tokens = self.mix(self.patches(images).flatten(2).movedim(2, 1))
        return ModelOutput(self.head(tokens.mean(dim=1)))


def test_a_network_of_tokens_is_refused_rather_than_explained_by_its_first_layer():
    with pytest.raises(UsageError, match="gradcam needs a feature map, and no output"):
        attribute(Tokens().eval(), torch.rand(1, 1, 8, 8), method="gradcam")
    chosen = attribute(Tokens().eval(), torch.rand(1, 1, 8, 8), method="gradcam", layer="mix")
    assert chosen.shape == (1, 8, 8)


def test_a_network_without_positions_is_refused():
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 2)

        def forward(self, images, reconstruct=True):
            return ModelOutput(self.head(images.flatten(1)))

    with pytest.raises(UsageError, match="gradcam needs a feature map, and no output"):
        attribute(Flat().eval(), torch.rand(1, 1, 8, 8), method="gradcam")


def test_the_map_is_captums_at_that_layer():
    model = build_model(
        tiny_config(model="resnet18", width=8).network, channels=1, classes=2, image_size=16, seed=0
    )
    model.eval()
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    theirs = LayerGradCam(model.network, model.network.layer4).attribute(
        images, target=torch.ones(2, dtype=torch.int64), relu_attributions=True
    )
    expected = LayerAttribution.interpolate(theirs, (16, 16), interpolate_mode="bilinear")[:, 0]
    maps = attribute(model, images, method="gradcam", target=1)
    torch.testing.assert_close(maps, expected.detach())


def test_a_vision_transformers_map_is_not_blank():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=2)
        nn.init.normal_(model.heads.head.weight)
        model.conv_proj = nn.Conv2d(1, 16, 8, stride=8)
        images = torch.rand(2, 1, 32, 32)
    maps = [attribute(Tapped(model).eval(), images, method="gradcam", target=k) for k in (0, 1)]
    assert torch.stack(maps).max() > 0
