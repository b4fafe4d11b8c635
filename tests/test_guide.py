"""The objective that CONTRIBUTING.md adds, by its file and its line."""

import importlib
import re
import sys

import pytest
import torch
from in_process import told
from markdown_pages import ROOT

from activmask.ground.errors import UsageError
from activmask.models.build import build_model
from activmask.objectives import OBJECTIVES
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config
from activmask.runs.names import method_name, run_name

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE, LINE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(autouse=True)
def _added(tmp_path, monkeypatch):
    (tmp_path / "logit_pairing.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("logit_pairing")
    monkeypatch.delitem(sys.modules, "logit_pairing")
    for name, objective in eval(f"{{{LINE}}}", vars(module)).items():
        monkeypatch.setitem(OBJECTIVES, name, objective)


def test_it_is_called_what_the_guide_says():
    config = make_config(logit_pairing=10.0)
    assert f"`{run_name(config)}`" in GUIDE
    assert f'"{method_name(config)}"' in GUIDE


@pytest.mark.parametrize("more", [{"logit_pairing": -1.0}, {"classify_masked": "train"}])
def test_what_the_guide_says_is_refused_is(more):
    with pytest.raises(UsageError):
        make_config(**{"logit_pairing": 1.0, **more})


def test_it_has_a_flag():
    assert "--logit-pairing" in told("train", "--help", cwd=ROOT).stdout


def test_it_is_a_term_of_the_loss():
    chosen = make_config(logit_pairing=2.0).objectives
    images, masks = torch.rand(4, 1, 8, 8), torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    network = make_config(model="cnn", width=4).network
    model = build_model(network, channels=1, classes=2, image_size=8, seed=0)
    model.eval()
    labels, source = torch.arange(4) % 2, torch.Generator()
    terms = step_terms(chosen, model, images, masks, labels, source).terms
    assert terms["logit_pairing"] > 0
    everything = torch.ones_like(masks)
    assert step_terms(chosen, model, images, everything, labels, source).terms["logit_pairing"] == 0
