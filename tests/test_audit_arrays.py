"""From arrays and loaders to what an audit is made on."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from activmask.auditing.arrays import Facts, material_of_arrays
from activmask.auditing.material import check_judged, judged_split
from activmask.ground.errors import DataError, UsageError

N, SIDE = 6, 4
GREY = np.zeros((N, SIDE, SIDE), np.uint8)
LABELS = [0, 1] * 3


def one(images=GREY, masks=None, labels=LABELS, **facts):
    [material] = material_of_arrays(images, masks, labels, Facts(**facts))
    return material


@pytest.mark.parametrize(
    ("kind", "value", "share"),
    [(np.uint8, 51, 0.2), (np.uint16, 13107, 0.2), (np.bool_, True, 1), (np.float64, 0.2, 0.2)],
)
def test_images_become_shares_of_their_range_and_it_is_said(kind, value, share):
    material = one(np.full((N, SIDE, SIDE), value, kind))
    assert material.samples.images.dtype == torch.float32
    assert material.samples.images.shape == (N, 1, SIDE, SIDE)
    assert material.samples.images.flatten()[0].item() == pytest.approx(share)
    assert bool(material.notes) == (kind in {np.uint8, np.uint16})


def test_values_that_would_fit_twelve_bits_are_told():
    assert "12 bits" in one(np.full((N, SIDE, SIDE), 4000, np.uint16)).notes[1]
    assert (
        "divided by 65,535; their largest value is 4,000"
        in one(np.full((N, SIDE, SIDE), 4000, np.uint16)).notes[0]
    )


def test_torch_and_colours_are_taken():
    material = one(torch.rand(N, 3, SIDE, SIDE))
    assert material.samples.images.shape == (N, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((N, SIDE, SIDE, 3), np.uint8), "channels second"),
        (np.zeros((N, SIDE)), "must be \\(N, C, H, W\\)"),
        (np.zeros((N, SIDE, SIDE), np.int64), "found int64"),
        (np.full((N, SIDE, SIDE), 1.5), "must lie in"),
        (np.full((N, SIDE, SIDE), np.nan), "must lie in"),
    ],
)
def test_images_that_cannot_be_are_refused(images, said):
    with pytest.raises((UsageError, DataError), match=said):
        one(images)


def test_masks_may_be_missing_for_some_or_for_all():
    inside = np.zeros((SIDE, SIDE), np.uint8)
    inside[0, 0] = 1
    material = one(masks=[inside, None, inside[None], None, inside > 0, None])
    assert material.samples.has_mask.tolist() == [True, False] * 3
    assert material.samples.masks[0].sum() == 1
    assert material.samples.masks[1].all()
    assert not one().samples.has_mask.any()


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (np.zeros((N - 1, SIDE, SIDE)), "for each of 6 images"),
        (np.zeros((N, SIDE, SIDE + 1)), "as large as its image"),
        (np.full((N, SIDE, SIDE), 255), "nothing else"),
    ],
)
def test_masks_that_cannot_be_are_refused(masks, said):
    with pytest.raises((UsageError, DataError), match=said):
        one(masks=masks)


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_an_image_of_nobody_is_no_image_of_one_person_more(missing):
    with pytest.raises(DataError, match="2 of 6 images have no subject, the first image 1, so that nobody"):
        one(subjects=["a", missing, "b", "c", missing, "d"])
    assert len(set(one(subjects=range(N)).samples.subjects)) == N


def test_labels_of_which_each_image_has_one_may_be_classes():
    several = material_of_arrays(GREY, None, np.eye(2)[LABELS], Facts())
    assert any("give labels.argmax(1)" in note for note in several[0].notes)
    [first, _] = material_of_arrays(GREY, None, np.eye(3)[LABELS][:, :2] + [[0, 1]] * 6 > 0, Facts())
    assert not any("argmax" in note for note in first.notes)


def test_labels_are_numbers_or_names():
    assert one().class_names == ("0", "1")
    named = one(labels=["ill", "well"] * 3)
    assert (named.class_names, named.samples.labels.tolist()) == (("ill", "well"), [0, 1] * 3)
    ordered = one(labels=["ill", "well"] * 3, class_names=["well", "ill"])
    assert ordered.samples.labels.tolist() == [1, 0] * 3
    assert one(labels=np.array(LABELS, bool)).samples.labels.tolist() == LABELS
    assert one(labels=torch.tensor(LABELS)[:, None]).samples.labels.tolist() == LABELS
    assert one(labels=np.array(LABELS, float)).samples.labels.tolist() == LABELS
    with pytest.raises(UsageError, match="none of the classes"):
        one(labels=["ill", "well"] * 3, class_names=["well", "sick"])
    with pytest.raises(UsageError, match="labels must be 0 to 1"):
        one(labels=[0, 1, 2] * 2, class_names=["a", "b"])
    with pytest.raises(DataError, match="whole numbers"):
        one(labels=[0.5] * N)
    with pytest.raises(UsageError, match="for each of 6"):
        one(labels=[0, 1])


def test_names_of_classes_whose_order_is_not_sure_are_refused():
    with pytest.raises(UsageError, match="'10' comes first by its letters, '9' by its number"):
        one(labels=["9", "10"] * 3)
    with pytest.raises(UsageError, match="order is not sure"):
        one(labels=["grade 2", "grade 11", "grade 2"] * 2)
    known = one(labels=["9", "10"] * 3, class_names=["9", "10"])
    assert known.samples.labels.tolist() == [0, 1] * 3
    assert one(labels=["grade 2", "grade 3"] * 3).class_names == ("grade 2", "grade 3")


@pytest.mark.parametrize("masks", [None, [None, *np.greater(GREY[1:], 0)]])
def test_masked_arrays_are_refused_where_something_is_masked(masks):
    hidden = np.ma.masked_equal(GREY, 0)
    with pytest.raises(UsageError, match="masked entries, and what is meant"):
        material_of_arrays(hidden, masks, [0, 1] * 3, Facts())
    with pytest.raises(UsageError, match="1 masked entry"):
        one(labels=np.ma.array([0, 1] * 3, mask=[True] + [False] * 5))
    with pytest.raises(UsageError, match="masked entries"):
        material_of_arrays(GREY, [None, hidden[1] > 0, *[None] * 4], [0, 1] * 3, Facts())
    nothing = np.ma.array(GREY, mask=False)
    [found] = material_of_arrays(nothing, masks, [0, 1] * 3, Facts())
    assert torch.equal(found.samples.images, one(labels=[0, 1] * 3).samples.images)


def test_labels_that_do_not_exclude_each_other_are_audited_one_by_one():
    labels = np.array([[0, 1], [1, 1], [0, np.nan], [1, 0], [0, 0], [1, 1]])
    first, second = material_of_arrays(GREY, None, labels, Facts(class_names=["rib", "heart"]))
    assert (first.label, first.class_names) == ("rib", ("no rib", "rib"))
    assert first.samples.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert second.samples.labels.tolist() == [1, 1, 0, 0, 1]
    assert second.samples.names == ("0", "1", "3", "4", "5")
    assert "1 images are left out" in second.notes[-1]
    with pytest.raises(DataError, match="0 or 1"):
        material_of_arrays(GREY, None, labels + 1, Facts())


def test_facts_become_columns():
    material = one(
        sites=["A", "B"] * 3, groups={"sex": ["F", None, "M"] * 2, "age": [1, 2, 3] * 2}, subjects=range(N)
    )
    assert material.columns["site"] == ("A", "B") * 3
    assert material.columns["sex"] == ("F", "", "M") * 2
    assert material.columns["age"][1] == "2"
    assert material.samples.subjects == tuple("012345")
    with pytest.raises(UsageError, match="one value of sex"):
        one(groups={"sex": ["F"]})


def test_splits_say_what_is_judged():
    material = one(splits=["train", "valid", "test"] * 2)
    assert judged_split(material, None) == "test"
    assert material.of_split("test").samples.names == ("2", "5")
    assert judged_split(one(), None) == "all"
    with pytest.raises(UsageError, match="name no splits"):
        judged_split(one(), "test")
    with pytest.raises(UsageError, match="no split 'tset'"):
        judged_split(material, "tset")
    with pytest.raises(DataError, match="in the split valid"):
        judged_split(one(splits=["train", "test"] * 3), "valid")
    with pytest.raises(DataError, match="nobody's images"):
        one(splits=["train", "test"] * 3, subjects=["a"] * N)
    with pytest.raises(UsageError, match="train, valid or test"):
        one(splits=["trian"] * N)
    with pytest.raises(DataError, match="of one class"):
        check_judged(one(labels=[1] * N))


@pytest.mark.parametrize("named", [False, True])
def test_a_loader_yields_all_of_it(named):
    items = [(torch.rand(1, SIDE, SIDE), torch.ones(SIDE, SIDE), k % 2, f"person {k // 2}") for k in range(N)]
    names = ("images", "masks", "labels", "subjects")
    loader = DataLoader(
        [dict(zip(names, item, strict=True)) for item in items] if named else items, batch_size=4
    )
    [material] = material_of_arrays(loader, None, None, Facts())
    assert material.samples.images.shape == (N, 1, SIDE, SIDE)
    assert material.samples.has_mask.all()
    assert material.samples.labels.tolist() == LABELS
    assert material.samples.subjects == tuple(f"person {k // 2}" for k in range(N))


def test_a_loader_that_yields_something_else_is_refused():
    with pytest.raises(UsageError, match="must yield tuples"):
        material_of_arrays(DataLoader([torch.rand(1, SIDE, SIDE)] * N), None, None, Facts())
    with pytest.raises(UsageError, match="one without labels"):
        material_of_arrays([{"images": torch.rand(2, 1, SIDE, SIDE)}], None, None, Facts())
    with pytest.raises(DataError, match="no batch"):
        material_of_arrays([], None, None, Facts())
