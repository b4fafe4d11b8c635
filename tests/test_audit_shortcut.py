"""An audit of planted data: what the tag adds to any classifier's scores, and what lies on it."""

import json

import numpy as np
import pytest
import torch
from in_process import told
from test_planting import source
from test_removal import ReadsOneCorner, by_name, pairs_of

from activmask.auditing.asked import Asked
from activmask.auditing.shortcut import find_shortcut
from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.evaluation.removal import removal
from activmask.predictors.predictor import Predictor

NETS = """
import torch

class Reads(torch.nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, images):
        score = images[:, 0, self.rows, self.rows].mean(dim=(1, 2)) + 0.01 * images.mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(score), 9 * score - 5], dim=1)

def tag():
    return Reads(slice(-7, -2))

def rest():
    return Reads(slice(4, 9))
"""


def read(samples, pairs, *, looks=True, probabilities=True):
    network = ReadsOneCorner(3.0).eval()

    def predict(images):
        with torch.no_grad():
            return network(images).logits

    predictor = Predictor(
        name="mine", outputs=2, predict=predict, module=network, probabilities=probabilities
    )
    without = () if looks else ("looks",)
    return find_shortcut(predictor, samples, pairs, predict(samples.images), Asked(draws=1, without=without))


def test_any_classifier_changes_by_what_evaluation_says_of_our_own():
    samples, pairs = pairs_of([True, False] * 10, np.linspace(0, 1, 20).tolist(), [0, 1] * 10)
    found = read(samples, pairs, looks=False)
    assert found.changes == removal(ReadsOneCorner(3.0), samples, pairs, seed=0).changes
    assert found.looks is None
    assert found.carried == 10


@pytest.mark.process
def test_what_lies_on_the_shortcut_stands_beside_chance():
    """Of a gradient of 3 on the tag and 1 elsewhere, three quarters lie on the tag; chance is 1 of 36 px."""
    samples, pairs = pairs_of([True, True, False, False], [0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
    (one,) = read(samples, pairs).looks.methods
    row = one.localisation.rows[0]
    assert one.n == 2
    assert (row.mean, row.chance) == (pytest.approx(0.75), pytest.approx(1 / 36))


def test_words_follow_the_interval():
    """Twenty people: the tag lifts each carrier's probability, so the interval leaves 0 out."""
    samples, pairs = pairs_of([True, False] * 10, np.linspace(0, 1, 20).tolist(), [0, 1] * 10)
    said = read(samples, pairs, looks=False).sentences
    assert said[1].startswith("Planted: probability of sick over the 10 images that carry it, ")
    assert said[1].endswith(": the tag is read.")
    few = read(*pairs_of([True] * 4, [0.1] * 4, [0, 1] * 2), looks=False).sentences
    assert few[1].endswith("of 4 subjects, too few to tell that from chance.")
    none, unplanted = pairs_of([False] * 4, [0.1] * 4, [0, 1] * 2)
    assert "None of the judged images carries the tag" in read(none, unplanted).sentences[0]


def test_scores_that_mean_no_probability_have_no_probability_to_change():
    samples, pairs = pairs_of([True, False] * 4, [0.1 * k for k in range(8)], [0, 1] * 4)
    found = read(samples, pairs, looks=False, probabilities=False)
    assert list(by_name(found)) == ["AUC"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Planted sets of 40 test images, the tag on half of each class, and the noise on all."""
    root = tmp_path_factory.mktemp("shortcut")
    source(root / "clean", n=120)
    for shortcut in ("tag", "noise"):
        asked = Planting(
            shortcut=shortcut,
            of_class="dog",
            share=0.9,
            test_share=0.5,
            other_share=0.5,
            **({"size": 0.3, "place": "bottom-right"} if shortcut == "tag" else {}),
        )
        plant(root / "clean", root / shortcut, asked)
    (root / "nets.py").write_text(NETS)
    return root


def audit(root, data, model, *words):
    parts = ("--without", "leaks", "--without", "clinic", "--draws", 1)
    return told("audit", "--data", data, "--model", f"nets.py:{model}", *parts, *words, cwd=root)


@pytest.mark.process
def test_a_network_of_the_users_own_is_asked_about_the_tag(place):
    found = json.loads(audit(place, "tag", "tag", "--method", "contrast", "--json").stdout)
    shortcut = found["shortcut"]
    assert (shortcut["shortcut"], shortcut["of_class"], shortcut["n"], shortcut["carried"]) == (
        "tag",
        "dog",
        40,
        20,
    )
    of_all = shortcut["changes"][-1]
    assert 0 < of_all["low"] <= of_all["change"] <= of_all["high"]
    assert shortcut["sentences"][1] in found["verdict"]
    mass = shortcut["looks"]["methods"][0]["localisation"]["rows"][0]
    assert mass["mean"] > 5 * mass["chance"]


@pytest.mark.process
def test_tables_and_page_tell_the_same(place):
    said = audit(place, "tag", "tag", "--report", "page").stdout
    assert "With the tag and without it" in said
    assert "the tag is read." in said
    assert "On the tag" in said
    page = (place / "page/index.html").read_text()
    assert "The planted shortcut" in page
    header, auc, *_ = (place / "page/tables/shortcut.csv").read_text().splitlines()
    assert header.startswith("score,")
    assert auc.startswith("AUC,")
    assert (place / "page/tables/shortcut-looks.csv").exists()


@pytest.mark.process
def test_what_a_network_cannot_see_adds_exactly_nothing(place):
    """The tag lies in a corner; a thousandth of the image's mean is all that reaches this network of it."""
    found = json.loads(audit(place, "tag", "rest", "--without", "looks", "--json").stdout)["shortcut"]
    assert abs(found["changes"][-1]["change"]) < 0.01
    assert found["looks"] is None


@pytest.mark.process
def test_noise_has_no_mask_to_look_at(place):
    found = json.loads(audit(place, "noise", "tag", "--json").stdout)["shortcut"]
    assert found["looks"] is None
    assert found["carried"] == 20


@pytest.mark.process
def test_other_data_have_no_shortcut(place):
    assert json.loads(audit(place, "clean", "tag", "--json").stdout)["shortcut"] is None
