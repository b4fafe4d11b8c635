"""Where a classifier looks: planted networks, maps that are none, and curves worked out by loops."""

import itertools
import json

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import nn

from activmask.auditing.looks.curves import area, blurred, both_curves, curves, greyed, pixel_orders
from activmask.auditing.looks.looks import find_looks
from activmask.auditing.looks.method_looks import explained_score
from activmask.auditing.looks.moved_maps import moved
from activmask.auditing.looks.randomised import compared, rank_correlations, untrained
from activmask.data.samples import Samples
from activmask.ground.errors import UsageError
from activmask.models.output import ModelOutput
from activmask.predictors.predictor import Predictor
from activmask.saliency.attribution import attribute, attribute_scores

N, SIDE = 40, 12


class Corner(nn.Module):
    """Its score is the brightness of the upper left 3 x 3 px; as two logits, or one beside 0."""

    def __init__(self, *, single=False, classes=2):
        super().__init__()
        self.head = nn.Linear(SIDE * SIDE, 1 if single else classes)
        self.single = single
        weights = torch.zeros(SIDE, SIDE)
        weights[:3, :3] = 2.0
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()
            self.head.weight[-1] = weights.flatten()
            self.head.bias[-1] = -9.0

    def forward(self, images, reconstruct=True):
        logits = self.head(images.mean(dim=1).flatten(1))
        return ModelOutput(torch.cat([torch.zeros_like(logits), logits], dim=1) if self.single else logits)


class Edges(nn.Module):
    """How many edges there are, times a weight: whatever it is, the gradient shows the edges."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[-40.0], [40.0]]))
            self.head.bias.copy_(torch.tensor([5.0, -5.0]))

    def forward(self, images, reconstruct=True):
        steps = (images[..., 1:] - images[..., :-1]).square()
        return ModelOutput(self.head(steps.mean(dim=(1, 2, 3))[:, None]))


def predictor(module, *, gradients=True, **more):
    def predict(images):
        with torch.no_grad():
            return module(images, reconstruct=False).logits.float()

    outputs = predict(torch.rand(1, 1, SIDE, SIDE)).shape[1]
    own = module.eval() if gradients else None
    return Predictor(name="toy", outputs=outputs, predict=predict, module=own, **more)


def samples(*, n=N, masked=True, place="corner", subjects=None, channels=1):
    rng = np.random.default_rng(0)
    images = rng.random((n, channels, SIDE, SIDE)).astype(np.float32)
    labels = np.arange(n) % 2
    images[:, :, :3, :3] = (0.1 + 0.8 * labels)[:, None, None, None]
    masks = np.zeros((n, 1, SIDE, SIDE), bool)
    masks[:, :, slice(0, 3) if place == "corner" else slice(6, 9), :3] = True
    return Samples(
        images=torch.from_numpy(images),
        masks=torch.from_numpy(masks if masked else np.ones_like(masks)),
        has_mask=torch.full((n,), masked),
        labels=torch.from_numpy(labels),
        subjects=subjects or tuple(f"p{i}" for i in range(n)),
        sites=("",) * n,
        names=tuple(f"{i}.png" for i in range(n)),
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def means(scores):
    return {row.metric: row for row in scores.rows}


@pytest.mark.parametrize("method", ["contrast", "occlusion"])
@pytest.mark.parametrize("single", [False, True])
def test_a_network_that_reads_the_corner_is_seen_to(method, single):
    found = find_looks(samples(), predictor(Corner(single=single)), methods=[method])
    (one,) = found.methods
    assert one.name == f"{method}, absolute values"
    assert one.trusted
    assert one.constant == 0
    assert one.insertion.is_trifle  # From a blurred image on, the score is saturated.
    assert one.deletion.beats_chance
    assert one.randomisation.depends
    assert one.randomisation.low <= one.randomisation.mean <= one.randomisation.high
    pixel = means(one.localisation)["pixel ROC AUC"]
    assert pixel.mean > 0.95
    assert pixel.chance == 0.5
    elsewhere = find_looks(samples(place="left"), predictor(Corner(single=single)), methods=[method]).methods[
        0
    ]
    assert elsewhere.trusted
    assert means(elsewhere.localisation)["relevance rank accuracy"].mean < 0.1


def test_without_gradients_occlusion_is_the_same_and_the_rest_is_told():
    whole, blind = (
        find_looks(samples(), predictor(Corner(), gradients=there), methods=["occlusion", "contrast"])
        for there in (True, False)
    )
    seen, unseen = whole.methods[0], blind.methods[0]
    assert means(seen.localisation) == means(unseen.localisation)
    assert unseen.deletion == seen.deletion
    assert unseen.randomisation is None
    assert unseen.trusted
    assert any(
        "Whether occlusion, absolute values depends on what was learned is not known" in s
        for s in unseen.sentences
    )
    refused = blind.methods[1]
    assert refused.localisation is None
    assert not refused.trusted
    assert "asks for gradients" in refused.sentences[0]
    assert any("Only predictions can be had" in note for note in blind.notes)
    assert [one.method for one in find_looks(samples(), predictor(Corner(), gradients=False)).methods] == [
        "occlusion"
    ]


def test_a_map_of_edges_survives_random_weights_and_is_not_believed():
    found = find_looks(samples(place="left"), predictor(Edges()), methods=["contrast"]).methods[0]
    assert found.randomisation.mean == pytest.approx(1.0, abs=1e-6)
    assert found.randomisation.chance == pytest.approx(0, abs=0.1)
    assert not found.randomisation.depends
    assert not found.trusted
    assert found.sentences[0].startswith("contrast, absolute values does not depend on what was learned")
    assert "says nothing of what the classifier reads" in found.sentences[-1]


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, images, reconstruct=True):
        return ModelOutput(self.head(images.mean(dim=(1, 2, 3))[:, None]))


def test_passes_of_insertion_and_deletion_are_counted_to_their_end():
    said: list[str] = []
    find_looks(samples(), predictor(Corner()), methods=["contrast"], steps=3, told=said.append)
    name = "contrast, absolute values"
    passes = [f"{name}, insertion and deletion: {number} of 12 passes" for number in range(1, 13)]
    assert said == [f"maps by {name}", *passes]


def test_constant_maps_are_told():
    found = find_looks(samples(), predictor(Constant()), methods=["contrast"]).methods[0]
    assert found.constant == N
    assert found.insertion is None
    assert found.sentences[0] == "contrast, absolute values is no evidence: every map is constant."
    assert means(found.localisation)["pixel ROC AUC"].mean == 0.5


def test_without_masks_the_tests_of_the_maps_remain():
    found = find_looks(samples(masked=False), predictor(Corner()), methods=["contrast"])
    assert found.methods[0].localisation is None
    assert found.methods[0].trusted
    assert any("has nothing to be compared with" in note for note in found.notes)


def test_one_subject_has_no_interval_and_so_no_evidence():
    found = find_looks(samples(subjects=("p",) * N), predictor(Corner()), methods=["contrast"]).methods[0]
    assert found.deletion.gain_low is None
    assert not found.trusted
    assert any("all images are of one subject" in sentence for sentence in found.sentences)


def test_signs_stand_in_every_name():
    found = find_looks(samples(), predictor(Corner()), methods=["input-gradient"], sign="positive").methods[0]
    assert found.name == "input-gradient, positive evidence"
    assert found.sign == "positive"
    assert all("input-gradient, positive evidence" in sentence for sentence in found.sentences)


def test_random_maps_are_no_better_than_chance():
    given, judge = samples(n=100), predictor(Corner())
    score = explained_score(judge, judge.predict(given.images).argmax(dim=1))
    found = [
        one
        for seed in range(4)
        for one in both_curves(
            score,
            given.images,
            rng(seed).random((100, SIDE, SIDE)),
            given.subjects,
            steps=10,
            seed=seed,
            rng=rng(seed + 10),
        )
    ]
    assert sum(one.beats_chance or one.below_chance for one in found) <= 1
    assert all(one.gain_low <= one.gain <= one.gain_high for one in found)


def test_curves_by_loops():
    """A score that is linear in the pixels, changed one by one in float64."""
    given, maps = samples(n=5).images, rng(1).random((5, SIDE, SIDE))
    weights = rng(2).normal(size=(SIDE, SIDE))

    def score(images):
        return (images[:, 0].double().numpy() * weights).sum(axis=(1, 2))

    steps = 7
    for origin, goal in ((given, greyed(given)), (blurred(given), given)):
        [found] = curves(score, origin, goal, [pixel_orders(maps, rng())], steps=steps)
        for i in range(5):
            now, expected = origin[i, 0].double().numpy().copy(), []
            order = sorted(np.ndindex(SIDE, SIDE), key=lambda place: -maps[i][place])
            done = 0
            for step in range(steps + 1):
                while done < round(step * SIDE * SIDE / steps):
                    now[order[done]] = float(goal[i, 0][order[done]])
                    done += 1
                expected.append((now * weights).sum())
            np.testing.assert_allclose(found[i], expected, rtol=1e-9)
            by_hand = sum((a + b) / 2 for a, b in itertools.pairwise(expected)) / steps
            assert area(found)[i] == pytest.approx(by_hand, rel=1e-9)


def test_insertion_and_deletion_by_hand():
    """Four pixels, of which one makes the score: 1 while it is there."""
    image = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    [found] = curves(
        lambda images: (images[:, 0, 0, 0] > 0.5).double().numpy(),
        image,
        greyed(image),
        [np.array([[0, 1, 2, 3]])],
        steps=4,
    )
    assert found.tolist() == [[1, 0, 0, 0, 0]]
    assert area(found).tolist() == [0.125]
    [late] = curves(
        lambda images: (images[:, 0, 0, 0] > 0.5).double().numpy(),
        image,
        greyed(image),
        [np.array([[3, 2, 1, 0]])],
        steps=4,
    )
    assert area(late).tolist() == [0.875]


def test_the_ends_that_all_orders_share_are_scored_once():
    scored = []

    def score(images):
        scored.append(len(images))
        return images.mean(dim=(1, 2, 3)).numpy()

    given = samples(n=4)
    both_curves(
        score, given.images, rng().random((4, SIDE, SIDE)), given.subjects, steps=5, seed=0, rng=rng()
    )
    assert scored == [4] * 2 * (2 + 2 * 4)


@pytest.mark.parametrize(("moves", "told"), [(0.005, False), (0.5, True)])
def test_a_saturated_score_is_evidence_of_nothing(moves, told):
    """The order decides in every image alike, so every interval leaves 0 out, however little it is."""
    given = samples(n=8)
    maps = np.tile(np.arange(SIDE * SIDE, dtype=float).reshape(SIDE, SIDE), (8, 1, 1))

    def score(images):
        kept = (images == given.images).flatten(1).double()
        return 0.99 - moves * (1 - kept[:, -SIDE:].mean(dim=1)).numpy()

    _, deletion = both_curves(score, given.images, maps, given.subjects, steps=8, seed=0, rng=rng())
    assert deletion.gain_low > 0
    assert deletion.beats_chance == told
    assert deletion.is_trifle != told
    _, relative = both_curves(
        score, given.images, maps, given.subjects, steps=8, seed=0, rng=rng(), score_range=None
    )
    assert relative.beats_chance


def test_equal_pixels_come_in_random_order():
    maps = np.zeros((2000, 2, 2))
    maps[:, 1, 1] = 1
    orders = pixel_orders(maps, rng())
    assert (orders[:, 0] == 3).all()
    shares = np.bincount(orders[:, 1], minlength=4) / 2000
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 3, 0], atol=0.05)


def test_moved_maps_keep_their_values_and_neighbours():
    maps = rng().random((6, 4, 5))
    found = moved(maps, rng(3))
    assert not np.array_equal(found, maps)
    for one, other in zip(maps, found, strict=True):
        shifts = [np.roll(one, (down, right), axis=(0, 1)) for down in range(4) for right in range(5)]
        assert any(np.array_equal(shift, other) for shift in shifts)


def test_rank_correlation_is_pearsons_of_ranks():
    ones, others = rng(1).integers(0, 4, (3, 5, 6)).astype(float), rng(2).random((3, 5, 6))
    others[1] = ones[1] ** 3
    ones[2] = 7
    found = rank_correlations(ones, others)
    first, second = rankdata(ones[0]), rankdata(others[0])
    assert found[0] == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], rel=1e-12)
    assert found[1] == pytest.approx(1)
    assert np.isnan(found[2])
    blank = compared(np.zeros((2, 3, 3)), np.ones((2, 3, 3)), ("a", "b"), seed=0, rng=rng())
    assert "constant" in blank


class Mixed(nn.Module):
    """Modules that can reset themselves, one that cannot, and one whose weight is made of others."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.token = nn.Parameter(torch.linspace(1, 2, 50))
        self.made = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))

    def forward(self, images, reconstruct=True):
        return ModelOutput(self.made(self.norm(self.conv(images)).mean(dim=(2, 3))) + self.token.mean())


def test_an_untrained_copy_has_none_of_the_weights():
    network = Mixed()
    network.norm.running_mean += 3
    with torch.no_grad():
        network.norm.weight += 1
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    drawn, again = untrained(network, seed=1), untrained(network, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in drawn.state_dict().items():
        assert torch.equal(network.state_dict()[name], before[name])
        assert torch.equal(again.state_dict()[name], value)
        if value.is_floating_point() and value.numel() > 1:
            assert name in {"norm.bias", "norm.running_var"} or not torch.equal(value, before[name])
    assert float(drawn.state_dict()["token"].std()) == pytest.approx(float(before["token"].std()), rel=0.5)
    assert not drawn.training
    assert untrained(nn.Flatten(), seed=0) == "the network has no weights that could be randomised"


def test_labels_that_do_not_exclude_each_other():
    judge = predictor(Corner(classes=3), multi_label=True)
    with pytest.raises(UsageError, match="say which is to be explained"):
        find_looks(samples(), judge)
    found = find_looks(samples(), judge, methods=["input-gradient", "contrast"], target=2)
    assert found.explained == N // 2
    first, second = found.methods
    assert first.trusted
    assert "compares classes that exclude each other" in second.sentences[0]
    score = explained_score(judge, torch.full((2,), 2))(samples().images[:2])
    logits = judge.predict(samples().images[:2])[:, 2].double().numpy()
    np.testing.assert_allclose(score, 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_scores_that_are_no_probabilities_are_a_lead():
    judge = predictor(Corner(), probabilities=False)
    given = samples().images[:4]
    logits = judge.predict(given).double()
    lead = explained_score(judge, torch.tensor([0, 1, 0, 1]))(given)
    expected = (logits[:, 0] - logits[:, 1]) * torch.tensor([1, -1, 1, -1])
    np.testing.assert_allclose(lead, expected, rtol=1e-12)


def test_the_draw_is_told_and_the_same_seed_gives_the_same(tmp_path):
    first, second = (find_looks(samples(), predictor(Corner()), images=12, seed=5) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.explained == 12
    assert first.notes[0].startswith("12 of 40 images are explained")
    told = json.loads(json.dumps(first.to_json(), allow_nan=False))
    assert told["methods"][0]["deletion"]["shares"][-1] == 1
    assert told["methods"][0]["name"] == "contrast, absolute values"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"methods": ["contrst"]}, "there is no attribution method 'contrst'"),
        ({"target": 2}, "there is no output 2: the classifier has 0 to 1"),
        ({"images": 0}, "maps need an image"),
        ({"steps": 1}, "maps need an image"),
    ],
)
def test_what_makes_no_sense_is_refused(more, sentence):
    with pytest.raises(UsageError, match=sentence):
        find_looks(samples(), predictor(Corner()), **more)


def test_a_network_without_a_feature_map_is_told_not_fatal():
    found = find_looks(samples(), predictor(Corner()), methods=["gradcam", "contrast"])
    assert found.methods[0].name == "gradcam, positive evidence"
    assert found.methods[0].sentences[0].startswith("No map by gradcam, positive evidence: gradcam needs")
    assert found.methods[1].trusted


def test_occlusion_by_scores_is_that_by_the_network():
    network, images = Corner().eval(), samples(channels=3).images[:4]
    for sign in ("absolute", "positive"):
        own = attribute(network, images, method="occlusion", target=1, sign=sign)
        by_scores = attribute_scores(
            lambda part: network(part).logits, images, method="occlusion", target=1, sign=sign
        )
        torch.testing.assert_close(by_scores, own)
    with pytest.raises(UsageError, match="asks for gradients"):
        attribute_scores(lambda part: part, images, method="contrast")
