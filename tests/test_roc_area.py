"""The AUC of a training, by hand and against scikit-learn's, to the bit."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from activmask.evaluation.scores import class_scores, macro_auc
from activmask.training.replicas.predictions import auc, lead_over_rest
from activmask.training.replicas.roc_area import roc_area
from activmask.training.stacks.judging import auc as auc_of_stack

FINE = st.floats(-1e6, 1e6)
COARSE = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0])
"""Scores most of which tie."""


@st.composite
def scored(draw):
    """Scores (N,) and the truth of each, of which there are both."""
    n = draw(st.integers(2, 60))
    scores = draw(arrays(np.float64, n, elements=draw(st.sampled_from([FINE, COARSE]))))
    positive = draw(arrays(np.bool_, n))
    positive[draw(st.permutations(range(n)))[:2]] = [True, False]
    return scores, positive


@given(scored())
def test_it_is_scikit_learns_to_the_bit(made):
    scores, positive = made
    assert roc_area(scores, positive) == roc_auc_score(positive, scores)


@pytest.mark.parametrize("seed", range(5))
def test_of_many_images_too(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(5000) < 0.3
    scores = rng.normal(size=5000) + positive
    for one in (scores, np.round(scores, 1)):
        assert roc_area(one, positive) == roc_auc_score(positive, one)


@pytest.mark.parametrize("seed", range(5))
def test_of_several_classes_it_is_the_mean_of_each_against_the_rest(seed):
    rng = np.random.default_rng(seed)
    labels, logits = torch.from_numpy(rng.integers(3, size=60)), torch.from_numpy(rng.normal(size=(60, 3)))
    assert auc(logits, labels) == roc_auc_score(labels, logits.softmax(dim=1), multi_class="ovr")


def test_images_of_which_a_network_is_surer_than_a_probability_can_tell_are_no_ties():
    labels = torch.tensor([0, 1, 2])
    logits = torch.tensor([[100.0, 0.0, 0.0], [80.0, 0.0, 0.0], [0.0, 0.0, 100.0]], dtype=torch.float64)
    leads = lead_over_rest(logits)
    two = math.log(2)
    assert leads[0].tolist() == pytest.approx([100 - two, -100, -100])
    assert leads[1].tolist() == pytest.approx([80 - two, -80, -80])
    # Of the first two the first is the surer one of class 0, which it is of.
    assert auc(logits, labels) == 1
    assert macro_auc(class_scores(logits), labels.numpy()) == 1
    assert auc_of_stack(logits[None], labels[None], classes=3).item() == 1


def test_a_lead_over_the_rest_is_the_logit_of_a_softmax():
    source = torch.Generator().manual_seed(0)
    logits = torch.randn((50, 4), generator=source, dtype=torch.float64) * 3
    assert torch.allclose(lead_over_rest(logits), logits.softmax(dim=1).logit())
    # Whatever an image's logits have in common tells nothing of its class.
    common = torch.randint(-8, 8, (50, 1), generator=source).double()
    assert torch.equal(lead_over_rest(logits[:1] + common), lead_over_rest(logits[:1] + 0 * common))
    alike = torch.zeros((1, 3), dtype=torch.float64)
    assert lead_over_rest(alike)[0].tolist() == pytest.approx([-math.log(2)] * 3)


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([0, 1], [False, True], 1.0),
        ([0, 1], [True, False], 0.0),
        ([1, 1], [True, False], 0.5),
        ([3, 2, 1, 0], [True, False, True, False], 0.75),
        ([1, 1, 0, 0], [True, False, True, False], 0.5),
    ],
)
def test_by_hand(scores, positive, expected):
    assert roc_area(np.array(scores, np.float64), np.array(positive)) == expected


@pytest.mark.parametrize(
    ("scores", "positive"),
    [
        ([0, np.nan], [False, True]),
        ([0, np.inf], [False, True]),
        ([0, 1], [True, True]),
        ([0, 1], [False, False]),
    ],
)
def test_what_has_no_area_is_refused(scores, positive):
    with pytest.raises(ValueError, match="finite scores of images of both classes"):
        roc_area(np.array(scores, np.float64), np.array(positive))


@pytest.mark.process
def test_training_loads_no_scikit_learn(tmp_path, crosses):
    """It takes as long as torch, in each of a sweep's processes."""
    settings = f"data={str(crosses)!r}, model='cnn', width=2, epochs=1, device='cpu', threads=1"
    code = f"""
import sys
from pathlib import Path
from activmask.runs.making import make_config
from activmask.training.run import train
train(make_config({settings}), out=Path({str(tmp_path / "run")!r}))
print(*{{name.split('.')[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert not loaded & {"sklearn", "scipy", "pandas", "torchvision"}
