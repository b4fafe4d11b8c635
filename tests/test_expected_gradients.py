"""The prior by expected gradients, against scores, finite differences and each seed's own network."""

import pytest
import torch
from finite_differences import slopes
from test_step_terms import IMAGES, LABELS, MASKS, Recorder
from torch import nn

from activmask.ground.errors import UsageError
from activmask.models.output import ModelOutput
from activmask.objectives.expected_gradients import attribution_size, path_to
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config

CHOSEN = make_config(expected_gradients=1.0).objectives


def source() -> torch.Generator:
    return torch.Generator().manual_seed(5)


class Smooth(nn.Module):
    """Two logits that are a smooth function of the pixels, none of them of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.Linear(3 * 36, 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel())).mul_(0.5)

    def forward(self, images, reconstruct=True):
        return ModelOutput(self.head(torch.tanh(self.conv(images)).flatten(1)))


def test_an_image_alone_has_no_other_to_start_from_and_is_refused():
    _, path = path_to(torch.rand(1, 1, 6, 6, generator=source()), source())
    assert not path.any()
    with pytest.raises(UsageError, match="it does nothing with batch_size 1"):
        make_config(expected_gradients=1.0, batch_size=1)
    make_config(expected_gradients=1.0, batch_size=2)


def test_points_lie_on_the_way_from_an_image_of_the_batch():
    images = torch.rand(40, 2, 3, 3, generator=source(), dtype=torch.float64)
    points, path = path_to(images, source())
    references = images - path
    whose = [(references[i] - images).abs().amax(dim=(1, 2, 3)).argmin().item() for i in range(40)]
    torch.testing.assert_close(references, images[whose], rtol=0, atol=1e-12)
    assert len(set(whose)) > 15
    other = path.flatten(1).abs().amax(dim=1) > 0
    places = ((points - references) / path).flatten(1)[other]
    torch.testing.assert_close(places, places[:, :1].expand_as(places), rtol=1e-9, atol=0)
    assert (places[:, 0] > 0).all()
    assert (places[:, 0] < 1).all()
    assert places[:, 0].std() > 0.2


def test_attributions_of_many_draws_are_the_score_less_its_mean_over_references():
    model, images = Smooth().double(), IMAGES.double()
    total = torch.zeros(len(images), dtype=torch.float64)
    draws, count = source(), 4000
    for _ in range(count // 100):
        many = [path_to(images, draws) for _ in range(100)]
        points, path = (torch.cat(part) for part in zip(*many, strict=True))
        points.requires_grad_()
        (gradient,) = torch.autograd.grad(model(points).logits[:, 1].sum(), points)
        total += (gradient * path).sum(dim=(1, 2, 3)).view(100, -1).sum(dim=0)
    scores = model(images).logits[:, 1]
    expected = (scores - scores.mean()).detach()
    assert expected.abs().max() > 1
    torch.testing.assert_close(total / count, expected, rtol=0, atol=0.1)


def test_the_term_is_the_squared_attribution_of_the_true_classs_lead_outside_the_mask():
    model, images, draws = Smooth().double(), IMAGES.double(), source()
    result = step_terms(CHOSEN, model, images, MASKS, LABELS, source())
    points, path = path_to(images, draws)
    expected = 0.0
    step = 1e-6
    for i, true in enumerate(LABELS.tolist()):
        for y, x in (~MASKS[i, 0]).nonzero().tolist():
            ends = points[i : i + 1].repeat(2, 1, 1, 1)
            ends[0, 0, y, x] += step
            ends[1, 0, y, x] -= step
            lead = model(ends).logits[:, true] - model(ends).logits[:, 1 - true]
            slope = (lead[0] - lead[1]).item() / (2 * step)
            expected += (slope * path[i, 0, y, x].item()) ** 2 / len(images)
    assert result.terms["expected_gradients"].item() == pytest.approx(expected, rel=1e-6)
    assert attribution_size(torch.tensor([[[[1.0, 2.0]]], [[[0.0, 1.0]]]])).item() == 3


def test_its_gradient_is_that_of_finite_differences():
    model = Smooth().double()

    def loss() -> torch.Tensor:
        return step_terms(CHOSEN, model, IMAGES.double(), MASKS, LABELS, source()).terms["expected_gradients"]

    measured, slope, _ = slopes(loss, list(model.parameters()), source(), 1e-6)
    assert measured == pytest.approx(slope, rel=1e-5)


def test_the_pass_over_points_comes_before_that_over_images():
    model, draws = Recorder(decoder=False), source()
    result = step_terms(CHOSEN, model, IMAGES, MASKS, LABELS, source())
    assert list(result.terms) == ["classify", "expected_gradients"]
    points, full = (one.images for one in model.passes)
    assert torch.equal(points, path_to(IMAGES, draws)[0])
    assert torch.equal(full, IMAGES)
