"""Planted images against their twins: what a shortcut adds is the pairs' difference, worked out by hand."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import told
from test_planting import SIDE, source
from tiny_checkpoints import samples_of

from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.evaluation.planted import Pairs
from activmask.evaluation.removal import change_name, removal
from activmask.models.output import ModelOutput

QUICK = ("--model", "cnn", "--width", 4, "--lr", 1e-3, "--epochs", 2, "--batch-size", 4, "--device", "cpu")
SEEN = ("--split-policy", "given", "--threads", 1)


class ReadsOneCorner(torch.nn.Module):
    """The second class's logit is `pull` times the first pixel, plus the last; the first class's is 0."""

    def __init__(self, pull: float) -> None:
        super().__init__()
        self.pull = torch.nn.Parameter(torch.tensor(pull))

    def forward(self, images, *, reconstruct=True):
        score = self.pull * images[:, 0, 0, 0] + images[:, 0, -1, -1]
        return ModelOutput(logits=torch.stack([torch.zeros_like(score), score], dim=1))


def pairs_of(carries, last, labels, subjects=None):
    """Images whose last pixel is given; the shortcut whitens the first pixel of those that carry it."""
    n = len(labels)
    twins = torch.zeros(n, 1, 6, 6)
    twins[:, 0, -1, -1] = torch.tensor(last)
    carried = torch.tensor(carries)
    images, masks = twins.clone(), torch.ones(n, 1, 6, 6, dtype=torch.bool)
    images[carried, 0, 0, 0] = 1
    masks[carried] = False
    masks[carried, 0, 0, 0] = True
    samples = samples_of(images, torch.ones_like(masks), labels, "")
    if subjects is not None:
        samples = replace(samples, subjects=tuple(subjects))
    pairs = Pairs(
        shortcut="tag", number=1, name="sick", carries=carried, twins=twins, masks=masks, has_mask=carried
    )
    return samples, pairs


def by_name(found):
    return {change_name(row): row for row in found.changes}


def test_every_change_by_hand():
    """The tag lifts one healthy image above both sick ones: AUC 1 falls to 0.5; its logit rises by 3."""
    samples, pairs = pairs_of([True, False, False, False], [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1])
    found = removal(ReadsOneCorner(3.0), samples, pairs, seed=0)
    rows = by_name(found)
    assert (found.n, found.carried) == (4, 1)
    assert (rows["AUC"].planted, rows["AUC"].twins, rows["AUC"].change) == (0.5, 1.0, -0.5)
    assert rows["accuracy"].change == 0
    of_sick = rows["probability of sick, carriers of class 0"]
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    assert of_sick.planted == pytest.approx(sigmoid(3.1))
    assert of_sick.twins == pytest.approx(sigmoid(0.1))
    assert of_sick.change == of_sick.planted - of_sick.twins
    assert (of_sick.n, of_sick.subjects, of_sick.low, of_sick.high) == (1, 1, None, None)
    assert "probability of sick, carriers of class 1" not in rows
    assert rows["probability of sick, all that carry it"].change == of_sick.change


def test_the_attribution_is_measured_on_the_shortcut_of_those_that_carry_it():
    """Of a gradient of 3 on the tag and 1 elsewhere, three quarters lie on the tag; chance is 1 of 36 px."""
    samples, pairs = pairs_of([True, True, False, False], [0.1] * 4, [0, 1, 0, 1])
    found = removal(ReadsOneCorner(3.0), samples, pairs, seed=0).localisation
    assert found.n == 2
    assert found.rows[0].mean == pytest.approx(0.75)
    assert found.rows[0].chance == pytest.approx(1 / 36)


def test_a_network_that_does_not_see_the_shortcut_changes_by_exactly_nothing():
    samples, pairs = pairs_of([True, False] * 10, np.linspace(0, 1, 20).tolist(), [0, 1] * 10)
    for row in removal(ReadsOneCorner(0.0), samples, pairs, seed=0).changes:
        assert (row.change, row.low, row.high) == (0, 0, 0)


def test_the_interval_is_of_subjects_not_of_images():
    """Five images of each of four people, alike within each: the interval is that of four, whatever is 20."""
    rng = np.random.default_rng(0)
    of_person = rng.normal(0, 2, 4)
    last = np.repeat(of_person, 5).tolist()
    labels, carries = [1] * 20, [True] * 20
    people = [f"person {k // 5}" for k in range(20)]
    wide, narrow = (
        by_name(removal(ReadsOneCorner(2.0), *pairs_of(carries, last, labels, who), seed=0))
        for who in (people, None)
    )
    name = "probability of sick, all that carry it"
    assert (wide[name].subjects, narrow[name].subjects) == (4, 20)
    widths = [row[name].high - row[name].low for row in (wide, narrow)]
    assert widths[0] > 1.5 * widths[1]
    assert wide[name].low <= wide[name].change <= wide[name].high


def test_no_auc_without_both_classes():
    samples, pairs = pairs_of([True, False], [0.1, 0.2], [1, 1])
    assert "AUC" not in by_name(removal(ReadsOneCorner(1.0), samples, pairs, seed=0))


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """A data set, its planted form with a tag and with noise, and a run on each of the first two."""
    root = tmp_path_factory.mktemp("planted")
    source(root / "clean")
    for shortcut in ("tag", "noise"):
        asked = Planting(shortcut=shortcut, of_class="dog", share=1, valid_share=1, test_share=0.5)
        plant(root / "clean", root / shortcut, asked)
    for name in ("clean", "tag"):
        told("train", *QUICK, *SEEN, "--data", name, "--actdiff", 1, "--out", f"runs/{name}", cwd=root)
    return root


def evaluated(root: Path, *words: object) -> dict:
    (one,) = json.loads(told("evaluate", *words, "--json", cwd=root).stdout)["checkpoints"]
    return one


@pytest.mark.process
def test_a_planted_set_is_trained_and_evaluated_as_it_stands(planted):
    one = evaluated(planted, "runs/tag")
    found = one["removal"]
    assert (found["shortcut"], found["of_class"], found["n"], found["carried"]) == ("tag", "dog", 8, 4)
    assert found["localisation"]["n"] == 4
    assert {row["score"] for row in found["changes"]} == {"AUC", "accuracy", "probability of dog"}
    auc = found["changes"][0]
    assert auc["planted"] == pytest.approx(one["evaluation"]["scores"]["auc"])
    text = told("evaluate", "runs/tag", cwd=planted).stdout
    assert "What the tag adds" in text
    assert "measured in the mask of the tag" in text
    assert sum(1 for _ in (planted / "runs/tag").glob("seed-*/splits.csv")) == 1
    assert "twins/" not in next((planted / "runs/tag").glob("seed-*/splits.csv")).read_text()


@pytest.mark.process
def test_the_twins_score_as_the_clean_images_do(planted):
    """The run on planted images, asked about the data set that they were made of: its own twins."""
    found = evaluated(planted, "runs/tag")["removal"]["changes"][0]
    clean = evaluated(planted, "runs/tag", "--data", "clean")["evaluation"]["scores"]
    assert clean["n"] == 8
    assert found["twins"] == pytest.approx(clean["auc"])


@pytest.mark.process
def test_a_run_on_clean_images_is_asked_about_planted_ones(planted):
    found = evaluated(planted, "runs/clean", "--data", "tag")["removal"]
    assert (found["carried"], found["number"]) == (4, 1)
    noise = evaluated(planted, "runs/clean", "--data", "noise")["removal"]
    assert noise["carried"] == 4
    assert noise["localisation"]["rows"] == []
    assert "looks, measured" not in told("evaluate", "runs/clean", "--data", "noise", cwd=planted).stdout


@pytest.mark.process
@pytest.mark.parametrize("wrong", [7, None, "1"])
def test_a_card_that_was_edited_wrongly_is_refused(planted, tmp_path, wrong):
    shutil.copytree(planted / "tag", tmp_path / "edited")
    path = tmp_path / "edited/card.json"
    card = json.loads(path.read_text())
    card["planted"] |= {"class": wrong, "class_name": "nobody"}
    path.write_text(json.dumps(card))
    said = told("evaluate", "runs/clean", "--data", tmp_path / "edited", cwd=planted, code=3).stderr
    assert "expected a class from 0 to 1" in " ".join(said.split())


@pytest.mark.process
def test_an_audit_says_of_a_run_what_its_evaluation_says(planted):
    parts = [word for part in ("conditions", "leaks", "clinic") for word in ("--without", part)]
    said = told("audit", "--model", "runs/tag/seed-0", *parts, "--json", cwd=planted).stdout
    found, known = json.loads(said)["shortcut"], evaluated(planted, "runs/tag")["removal"]
    assert found["changes"] == pytest.approx(known["changes"])
    mine, its = found["looks"]["methods"][0]["localisation"]["rows"][0], known["localisation"]["rows"][0]
    assert (mine["mean"], mine["chance"]) == pytest.approx((its["mean"], its["chance"]))


@pytest.mark.process
def test_other_sets_are_told_as_before(planted):
    assert "removal" not in evaluated(planted, "runs/clean")
    assert "adds" not in told("evaluate", "runs/clean", cwd=planted).stdout


@pytest.mark.process
def test_masks_follow_the_view(planted):
    """Images cut to 12 px of 24: the tag in the corner is out of sight, and its mask with it."""
    told("train", *QUICK, *SEEN, "--data", "tag", "--image-size", 12, "--out", "runs/cut", cwd=planted)
    found = evaluated(planted, "runs/cut")["removal"]
    assert found["localisation"]["n"] == 0
    assert all(row["change"] == 0 for row in found["changes"])
    assert SIDE == 24
