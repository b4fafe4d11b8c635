"""The audit as one call: every way to give images, and what comes out."""

import json

import numpy as np
import pytest
import torch
from audited_models import N, ReadsTheCorner, audited, tagged
from torch import nn

import activmask as am
from activmask.auditing.conditions.versions import CONDITIONS
from activmask.ground.errors import CheckpointError, DataError, UsageError

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def whole():
    return audited(subjects=[f"p{k // 2}" for k in range(N)], groups={"sex": ["F", "F", "M", "M"] * 12})


def test_every_part_is_there_and_agrees_with_the_others(whole):
    assert "background" in whole.verdict[0]
    full = whole.conditions.row("full").auc.value
    assert full == whole.clinic.auc.value == 1
    assert [group.value for group in whole.clinic.columns[0].groups] == ["F", "M"]
    assert whole.leaks.label[1].auc > 0.9
    assert whole.looks.methods[0].n == N
    assert whole.logits.shape == (N, 2)
    assert any("divided by 255" in note for note in whole.notes)


def test_it_is_written_as_json(whole):
    told = json.loads(json.dumps(whole.to_json(), allow_nan=False))
    assert (told["data"], told["split"], told["images"], told["subjects"]) == ("arrays", "all", N, N // 2)
    assert set(told) >= {"verdict", "notes", "conditions", "leaks", "looks", "clinic"}


def test_parts_are_left_out():
    found = audited(without=["conditions", "leaks", "looks"])
    assert (found.conditions, found.leaks, found.looks) == (None, None, None)
    assert found.clinic is not None
    assert found.verdict == ()


def test_a_function_of_arrays_is_audited_like_the_network_it_hides():
    model = ReadsTheCorner()

    def scores(images):
        with torch.no_grad():
            return model(torch.as_tensor(images)).numpy()

    options = {"without": ["leaks", "looks"], "outputs": "logits"}
    hidden, plain = audited(scores, **options), audited(model, **options)
    assert torch.allclose(hidden.logits, plain.logits, atol=1e-5)
    assert hidden.conditions.rows == plain.conditions.rows


def test_thresholds_come_from_the_valid_split():
    found = audited(splits=["valid"] * 16 + ["test"] * 32, without=["conditions", "leaks", "looks"])
    assert found.split == "test"
    assert found.clinic.n == 32
    assert found.clinic.questions[0].threshold.how == "Youden"
    assert found.clinic.questions[0].threshold.n == 16


def test_labels_that_do_not_exclude_each_other_are_audited_one_by_one():
    images, masks, labels = tagged()
    both = np.stack([labels, np.arange(N) // 2 % 2], axis=1)
    found = am.audit(
        ReadsTheCorner(outputs=2),
        images,
        masks,
        both,
        class_names=["rib", "heart"],
        draws=1,
        outputs="logits",
        without=["leaks", "looks"],
    )
    assert [one.material.label for one in found.labels] == ["rib", "heart"]
    assert found.labels[1].material.class_names == ("no heart", "heart")
    assert found.labels[0].clinic.auc.value != found.labels[1].clinic.auc.value
    assert json.dumps(found.to_json(), allow_nan=False)


def test_labels_of_the_same_pictures_are_answered_in_one_pass():
    images, masks, labels = tagged()
    both = np.stack([labels, np.arange(N) // 2 % 2], axis=1).astype(float)

    passed = []

    class Counting(ReadsTheCorner):
        def forward(self, images):
            passed.append(len(images))
            return super().forward(images)

    def audited_labels(truth):
        passed.clear()
        options = {"draws": 1, "outputs": "logits", "without": ["leaks", "looks"], "splits": splits}
        return am.audit(Counting(outputs=2), images, masks, truth, **options), sum(passed)

    splits = ["valid"] * 16 + ["test"] * 32
    versions = len(CONDITIONS)
    together, seen = audited_labels(both)
    one_by_one, _ = audited_labels(both[:, :1].repeat(2, axis=1))
    tried = seen - (versions * 32 + 16)
    assert 0 <= tried < 3 * N
    assert together.labels[0].conditions == one_by_one.labels[0].conditions
    unknown = both.copy()
    unknown[-1, 1] = np.nan
    apart, more = audited_labels(unknown)
    assert more == seen + versions * 31 + 16
    assert apart.labels[0].conditions == together.labels[0].conditions


def test_one_output_is_enough_for_two_classes():
    class One(nn.Module):
        def forward(self, images):
            return 9 * images[:, 0, :4, :4].mean(dim=(1, 2)) - 5

    found = audited(One(), without=["leaks", "looks"], outputs="logits")
    assert found.clinic.auc.value == 1
    assert found.clinic.questions[0].calibration is not None


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"without": ["loks"]}, UsageError, "no part 'loks'"),
        ({"without": ["conditions", "leaks", "clinic", "looks"]}, UsageError, "nothing is left"),
        ({"draws": 0}, UsageError, "at least 1"),
        ({"methods": ["gradkam"]}, UsageError, "no attribution method 'gradkam'"),
        ({"methods": ["contrast"], "without": ["looks"]}, UsageError, "no effect"),
        ({"split": "test"}, UsageError, "name no splits"),
        ({"threshold": 2.0, "without": ["conditions", "leaks", "looks"]}, UsageError, "between 0 and 1"),
        ({"sensitivity": 0.9, "without": ["conditions", "leaks", "looks"]}, UsageError, "there are none"),
        ({"class_names": ["a", "b", "c"]}, CheckpointError, "2 outputs"),
        ({"groups": {"sex": ["F"]}}, UsageError, "one value of sex"),
    ],
)
def test_what_makes_no_sense_is_refused(options, kind, said):
    with pytest.raises(kind, match=said):
        audited(**options)


def test_a_data_set_speaks_for_itself(tmp_path):
    with pytest.raises(UsageError, match="leave out subjects"):
        am.audit(ReadsTheCorner(), tmp_path, subjects=["a"])
    with pytest.raises(DataError, match="does not exist"):
        am.audit(ReadsTheCorner(), tmp_path / "nowhere")
    with pytest.raises(UsageError, match="needs images"):
        am.audit(ReadsTheCorner())


def test_images_of_one_class_cannot_be_audited():
    images, masks, _ = tagged()
    with pytest.raises(DataError, match="of one class"):
        am.audit(ReadsTheCorner(), images, masks, [1] * N, class_names=["well", "ill"])


@pytest.mark.process
def test_an_auc_is_below_chance_only_where_there_are_enough_to_tell():
    short = {"class_outputs": (1, 0), "without": ["leaks", "looks", "clinic"]}
    assert audited(**short).below_chance.auc == 0
    assert audited(**{**short, "without": ["leaks", "looks", "conditions"]}).below_chance.auc == 0
    assert audited(**short, subjects=["a", "b"] * (N // 2)).below_chance is None
    assert audited(**short, subjects=NINE).below_chance is None
    assert audited(without=["leaks", "looks", "clinic"]).below_chance is None


NINE = [f"p{k % 9}" for k in range(N)]
"""Subjects of images of both classes, one fewer than a verdict needs."""


class Shifted(ReadsTheCorner):
    """Trained on pixels less their mean, so that brighter ones are all of class 1 to it."""

    def forward(self, images):
        logits = super().forward(images)
        return logits + torch.tensor([0.0, 40.0])


CALLED = "All 48 images are called ill, which 24 of them are"


def said_of(model, **options):
    found = audited(model, without=["leaks", "looks"], **options)
    assert found.to_json()["notes"] == list(found.notes)
    return [note for note in found.notes if "are called" in note]


def test_a_foreign_network_that_calls_all_images_one_class_is_doubted_with_the_numbers():
    [note] = said_of(Shifted())
    assert note.startswith(CALLED)
    assert "AUC of 1.00 is told from chance" in note
    assert "(mean, std and scale were not given)" in note
    assert "accuracy of 0.50 here" in note
    [note] = said_of(Shifted(), preprocess=am.Preprocessing(mean=(0.0,), std=(1.0,)))
    assert "(scale was not given)" in note
    [note] = said_of(Shifted(), preprocess=lambda images: images)
    assert "not given" not in note


def test_nothing_is_doubted_where_both_classes_are_called_or_nothing_is_ranked_or_decided():
    assert said_of(ReadsTheCorner()) == []
    # An AUC of two subjects is told from nothing.
    assert said_of(Shifted(), subjects=["a", "b"] * (N // 2)) == []
    assert said_of(Shifted(), subjects=NINE) == []

    def ranks(images):
        return 100 + images[:, 0, :4, :4].mean(axis=(1, 2))

    assert said_of(ranks, outputs="scores") == []


def test_of_labels_that_are_called_alike_one_sentence_names_all():
    images, masks, labels = tagged()
    both = np.stack([1 - labels, labels], axis=1)
    named = {"class_names": ["rib", "heart"], "draws": 1, "outputs": "logits", "without": ["leaks", "looks"]}
    found = am.audit(Shifted(), images, masks, both, **named)
    [note] = [one for one in found.notes if "called alike" in one]
    assert note.startswith("Of 1 of 2 labels (heart) all images are called alike")
    assert "(mean, std and scale were not given)" in note
    assert [len([note for note in one.notes if "are called" in note]) for one in found.labels] == [0, 1]


def test_how_images_are_shown_is_told():
    ways = {
        am.Preprocessing(): "as [0, 1], nothing subtracted",
        am.Preprocessing(scale=255.0): "multiplied by 255, nothing subtracted",
        am.Preprocessing(size=8): "resized to 8 x 8 px, as [0, 1], nothing subtracted",
        am.Preprocessing(mean=(0.5,), std=(0.25,)): "mean 0.5, std 0.25",
    }
    for how, told in ways.items():
        assert how.as_seen() == told
    assert audited(without=["leaks", "looks", "clinic"]).as_seen == "as [0, 1], nothing subtracted"
