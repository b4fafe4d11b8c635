"""Which values of a map count: each method's own sign, before absolute or positive ones are taken."""

import pytest
import torch
from torch import nn

from activmask.ground.errors import UsageError
from activmask.models.output import ModelOutput
from activmask.saliency.attribution import attribute
from activmask.saliency.methods import METHODS

SIDE = 8


class Linear(nn.Module):
    """Logits that are linear in the pixels, so that every attribution is known."""

    def __init__(self, classes=2, channels=2):
        super().__init__()
        shape = (classes, channels, SIDE, SIDE)
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.weight = nn.Parameter(drawn)

    def forward(self, images, reconstruct=True):
        return ModelOutput(torch.einsum("bchw,kchw->bk", images, self.weight))


def images(n=4, channels=2):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, channels, SIDE, SIDE, generator=generator, dtype=torch.float64)


def signed(method, model, batch, k):
    """What a method attributes to class k of two, (B, C, H, W), by hand."""
    weight = model.weight.detach()
    lead = weight[k] - weight[1 - k]
    by_hand = {
        "input-gradient": weight[k].expand_as(batch),
        "smoothgrad": weight[k].expand_as(batch),
        "contrast": lead.expand_as(batch),
        "integrated-gradients": weight[k] * batch,
    }
    return by_hand[method]


@pytest.mark.parametrize("method", ["input-gradient", "smoothgrad", "contrast", "integrated-gradients"])
@pytest.mark.parametrize("k", [0, 1])
def test_the_positive_part_is_of_the_mean_over_channels_and_the_absolute_one_before_it(method, k):
    model, batch = Linear(), images()
    expected = signed(method, model, batch, k)
    found = attribute(model, batch, method=method, target=k, sign="positive")
    torch.testing.assert_close(found, expected.mean(dim=1).clamp(min=0))
    every = attribute(model, batch, method=method, target=torch.full((4,), k), sign="absolute")
    torch.testing.assert_close(every, expected.abs().mean(dim=1))


def test_occlusion_is_positive_where_covering_lowers_the_score():
    model, batch = Linear(channels=1), images(channels=1)
    with torch.no_grad():
        model.weight.zero_()
        model.weight[1, 0, :4] = 1
        model.weight[1, 0, 4:] = -1
    found = attribute(model, batch, method="occlusion", target=1, sign="positive")
    assert (found[:, :3] > 0).all()
    assert (found[:, 5:] == 0).all()
    other = attribute(model, batch, method="occlusion", target=1, sign="absolute")
    assert (other[:, 5:] > 0).all()


def test_each_image_may_have_a_class_of_its_own():
    model, batch, targets = Linear(classes=3), images(), torch.tensor([2, 0, 1, 2])
    for method in ("input-gradient", "contrast", "occlusion", "integrated-gradients"):
        together = attribute(model, batch, method=method, target=targets, sign="positive")
        singly = [
            attribute(model, batch[i : i + 1], method=method, target=int(targets[i]), sign="positive")
            for i in range(4)
        ]
        torch.testing.assert_close(together, torch.cat(singly))
    with pytest.raises(UsageError, match="there is no class 3"):
        attribute(model, batch, method="contrast", target=torch.tensor([0, 1, 2, 3]))


def test_a_target_of_two_classes_has_an_effect_only_where_signs_count():
    model, batch = Linear(), images()
    ones, others = (attribute(model, batch, method="contrast", target=k, sign="positive") for k in (0, 1))
    assert not torch.equal(ones, others)
    with pytest.raises(UsageError, match="explains both at once"):
        attribute(model, batch, method="contrast", target=1)


def test_what_is_a_positive_part_by_definition_says_so():
    assert [name for name, one in METHODS.items() if one.positive] == ["gradcam"]
