"""Planted shortcuts: exact counts, untouched pixels, twins that are the source, the same bytes for a seed."""

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_records import contents, record
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from activmask.data.dataset import read_dataset
from activmask.data.files.images import read_levels, read_plain_mask
from activmask.data.planting.drawn import cornered, framed, onto
from activmask.data.planting.limits import CORNERS, USUAL
from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.data.planting.shares import choose, doses, opposite, planted_count
from activmask.data.planting.whole import WHOLE
from activmask.data.splits import SPLITS
from activmask.data.writer import write_dataset
from activmask.ground.errors import DataError, UsageError

SIDE = 24


def source(root: Path, n: int = 24, depth: type = np.uint8, **changes: object) -> Path:
    """A data set of noise with a mask at the top left of every image but each third."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(n):
        pixels = rng.integers(0, np.iinfo(depth).max, (SIDE, SIDE), dtype=depth, endpoint=True)
        mask = np.zeros((SIDE, SIDE), np.bool_)
        mask[:6, :6] = True
        told = {"image": pixels, "mask": mask if number % 3 else None, "split": SPLITS[number // 2 % 3]}
        made.append(record(number, **{**told, "subject": f"person {number}", **changes}))
    write_dataset(root, made, card={"source": "folder", "classes": {"cat": 0, "dog": 1}, "colour": "refuse"})
    return root


@pytest.mark.parametrize(
    ("share", "images", "count"),
    [(0.9, 10, 9), (0.9, 5, 5), (0.5, 5, 3), (0.1, 5, 1), (0.35, 10, 4), (0.15, 10, 2), (0, 7, 0), (1, 7, 7)],
)
def test_a_share_becomes_a_whole_number_with_halves_up(share, images, count):
    """Of the number as it was written: 0.35 is less than 0.35 to a computer, and 0.35 of 10 are 4."""
    assert planted_count(share, images) == count


def test_the_opposite_of_a_share_is_a_decimal_number():
    assert [opposite(share) for share in (0.9, 0.7, 0, 1)] == [0.1, 0.3, 1, 0]


SHARE = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(st.data(), st.lists(st.tuples(st.integers(0, 2), st.sampled_from(SPLITS)), min_size=1, max_size=60))
def test_counts_are_exact_and_a_greater_share_keeps_the_images_of_a_smaller(data, kinds):
    labels, splits = np.array([label for label, _ in kinds]), [split for _, split in kinds]
    names = [f"{number:03d}" for number in range(len(kinds))]
    small, great = sorted((data.draw(SHARE), data.draw(SHARE)))
    other, seed = data.draw(SHARE), data.draw(st.integers(0, 2**63 - 1))

    def drawn(share):
        shares, others = dict.fromkeys(SPLITS, share), dict.fromkeys(SPLITS, other)
        return choose(labels, splits, names, number=1, shares=shares, others=others, seed=seed)

    few, many = drawn(small), drawn(great)
    assert not (few & ~many).any()
    for dose in doses(labels, splits, few, 1):
        for label, (images, planted) in enumerate(zip(dose.images, dose.planted, strict=True)):
            assert planted == planted_count(small if label == 1 else other, images)
    assert (few == drawn(small)).all()


def test_the_order_of_the_rows_decides_nothing():
    labels, splits = np.arange(30) % 2, [SPLITS[k % 3] for k in range(30)]
    names = [f"{number:02d}" for number in range(30)]
    shares = dict.fromkeys(SPLITS, 0.6)
    rows = np.random.default_rng(1).permutation(30)
    straight = choose(labels, splits, names, number=0, shares=shares, others=shares, seed=3)
    turned = choose(
        labels[rows], [splits[k] for k in rows], [names[k] for k in rows],
        number=0, shares=shares, others=shares, seed=3,
    )  # fmt: skip
    assert (straight[rows] == turned).all()
    other = choose(labels, splits, names, number=0, shares=shares, others=shares, seed=4)
    assert (straight != other).any()


def test_phi_and_accuracy_by_hand():
    """18 of 20 against 2 of 20: phi = (18 * 18 - 2 * 2) / (20 * 20)."""
    labels = np.repeat([1, 0], 20)
    planted = np.concatenate([np.arange(20) < 18, np.arange(20) < 2])
    (dose,) = doses(labels, ["train"] * 40, planted, 1)
    assert dose.images == (20, 20)
    assert dose.planted == (2, 18)
    assert dose.phi == pytest.approx(0.8)
    assert dose.accuracy == pytest.approx(0.9)
    (constant,) = doses(labels, ["test"] * 40, planted | True, 1)
    assert constant.phi is None
    assert constant.accuracy == 0.5


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("shortcut", USUAL)
def test_a_planted_set_keeps_all_but_the_shortcut(shortcut, depth, tmp_path):
    data = source(tmp_path / "source", depth=depth)
    found = plant(data, tmp_path / "out", Planting(shortcut=shortcut, of_class="dog", share=0.75))
    before, after = read_dataset(data), read_dataset(tmp_path / "out")
    assert after.file_names == before.file_names
    assert after.mask_file_names == before.mask_file_names
    assert (after.subjects, after.sites, after.splits) == (before.subjects, before.sites, before.splits)
    assert (after.labels == before.labels).all()
    carried = 0
    for row, name in enumerate(after.file_names):
        image, twin = (read_levels(after.root / one) for one in (name, after.twin_file_names[row]))
        original = read_levels(before.root / name)
        assert image.dtype == original.dtype == depth
        assert (twin == original).all()
        mask = after.shortcut_mask_file_names[row]
        if after.twin_file_names[row] == name:
            assert not mask
            continue
        carried += 1
        assert (image != twin).any()
        assert bool(mask) == (shortcut not in WHOLE)
        if mask:
            inside = read_plain_mask(after.root / mask)
            assert (image[~inside] == original[~inside]).all()
            assert inside.any()
            assert not inside.all()
    assert carried == sum(sum(dose.planted) for dose in found.doses)
    train = next(dose for dose in found.doses if dose.split == "train")
    assert (train.images, train.planted) == ((4, 4), (1, 3))
    assert found.touched.unchanged == 0


@pytest.mark.parametrize("shortcut", USUAL)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(shortcut, tmp_path):
    data = source(tmp_path / "source")
    asked = Planting(shortcut=shortcut, of_class="1", share=0.5)
    for name in ("one", "two"):
        plant(data, tmp_path / name, asked)
    plant(data, tmp_path / "other", Planting(shortcut=shortcut, of_class="1", share=0.5, seed=1))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one") != contents(tmp_path / "other")


@pytest.mark.parametrize("shortcut", WHOLE)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_no_shortcut_leaves_the_range(shortcut, depth, strength):
    """Values that left it would come round: white would turn black, and the mean of a white image fall."""
    most = np.iinfo(depth).max
    white, black = np.full((32, 32), most, depth), np.zeros((32, 32), depth)
    changed = WHOLE[shortcut](white, strength, np.random.default_rng(0))
    assert changed.dtype == depth
    assert changed.mean() > most / 2
    assert WHOLE[shortcut](black, strength, np.random.default_rng(0)).mean() < most * (
        0.5 if shortcut != "brightness" or strength < 1 else 1.01
    )


@pytest.mark.parametrize("shortcut", [name for name in USUAL if name not in WHOLE])
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("side", [20, 28, 224])
def test_what_is_drawn_is_seen_on_any_ground(shortcut, value, side):
    size = USUAL[shortcut].size
    stencils = (
        cornered(shortcut, side, side, size) if USUAL[shortcut].corner else {"": framed(side, side, size)}
    )
    for stencil in stencils.values():
        ground = np.full((side, side), value, np.uint8)
        drawn = onto(ground, stencil, 1.0)
        assert shortcut == "border" or (drawn != ground).any()
        assert (drawn[~stencil.inside] == value).all()


def test_strength_is_the_opacity_of_what_is_drawn():
    stencil = cornered("tag", 20, 20, 0.2)["top-left"]
    half = onto(np.full((20, 20), 100, np.uint8), stencil, 0.5)
    assert set(half[stencil.inside].tolist()) == {50, 178}


def test_the_corner_with_least_of_the_masks_is_taken(tmp_path):
    data = source(tmp_path / "source")
    auto = plant(data, tmp_path / "auto", Planting(shortcut="tag", of_class="1", share=1))
    assert auto.place == "top-right"
    assert (auto.touched.images, auto.touched.share) == (0, 0)
    there = plant(data, tmp_path / "on", Planting(shortcut="tag", of_class="1", share=1, place="top-left"))
    # 3 x 3 px of the 6 x 6 px of each mask.
    assert there.touched.images == there.touched.masked > 0
    assert there.touched.share == pytest.approx(0.25)
    assert set(CORNERS) == {"top-left", "top-right", "bottom-left", "bottom-right"}


def test_an_image_that_shows_no_change_is_counted(tmp_path):
    flat = source(tmp_path / "flat", image=np.full((SIDE, SIDE), 9, np.uint8))
    found = plant(flat, tmp_path / "out", Planting(shortcut="blur", of_class="1", share=0.5))
    assert found.touched.unchanged == sum(sum(dose.planted) for dose in found.doses) > 0
    assert read_dataset(tmp_path / "out").twin_file_names != read_dataset(tmp_path / "out").file_names


def test_the_card_keeps_the_recipe_and_tells_what_was_planted(tmp_path):
    data = source(tmp_path / "source")
    asked = Planting(shortcut="tag", of_class="cat", share=0.9, valid_share=0.5, other_share=0.2, seed=7)
    plant(data, tmp_path / "out", asked)
    card = json.loads((tmp_path / "out/card.json").read_text())
    assert (card["source"], card["colour"], card["classes"]) == ("folder", "refuse", {"cat": 0, "dog": 1})
    told = card["planted"]
    assert (told["shortcut"], told["class"], told["class_name"], told["seed"]) == ("tag", 0, "cat", 7)
    assert told["shares"] == {"train": 0.9, "valid": 0.5, "test": 0.1}
    assert told["other_shares"] == {"train": 0.2, "valid": 0.2, "test": 0.2}
    assert (told["strength"], told["size"]) == (1, 0.12)
    again = source(tmp_path / "changed", image=np.zeros((SIDE, SIDE), np.uint8))
    plant(again, tmp_path / "out2", asked)
    other = json.loads((tmp_path / "out2/card.json").read_text())["planted"]["source_sha256"]
    assert len(told["source_sha256"]) == 64
    assert other != told["source_sha256"]


def test_nothing_planted_is_a_plain_data_set(tmp_path):
    data = source(tmp_path / "source")
    nothing = Planting(shortcut="tag", of_class="1", share=0, valid_share=0, test_share=0, other_share=0)
    plant(data, tmp_path / "out", nothing)
    assert read_dataset(tmp_path / "out").twin_file_names == ()
    assert not (tmp_path / "out/twins").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of_class": "bird"}, "there is no class 'bird'"),
        ({"of_class": "2"}, "there is no class '2'.*by number 0 to 1"),
        ({"share": 1.5}, "share must be from 0 to 1"),
        ({"other_share": -0.1}, "other_share must be from 0 to 1"),
        ({"strength": 0.0}, "strength must be from 0.01 to 1"),
        ({"size": 0.9}, "size must be from 0.01 to 0.5"),
        ({"seed": -1}, "seed must be from 0"),
        ({"shortcut": "blur", "size": 0.2}, "size has no effect on blur"),
        ({"shortcut": "border", "place": "top-left"}, "place has no effect on border"),
        ({"shortcut": "taj"}, "did you mean 'tag'"),
        ({"shortcut": "text", "size": 0.5}, "a text of .* does not fit into images of 24 x 24 px"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message, tmp_path):
    data = source(tmp_path / "source")
    with pytest.raises(UsageError, match=message):
        plant(
            data, tmp_path / "out", Planting(**{"shortcut": "tag", "of_class": "1", "share": 0.9, **changes})
        )
    assert not (tmp_path / "out").exists()


def test_a_set_without_splits_is_refused_until_they_are_drawn(tmp_path):
    data = source(tmp_path / "source", n=36, split="")
    with pytest.raises(DataError, match="choose the split policy subject"):
        plant(data, tmp_path / "out", Planting(shortcut="tag", of_class="1", share=0.9))
    plant(data, tmp_path / "out", Planting(shortcut="tag", of_class="1", share=0.9, split_policy="subject"))
    assert set(read_dataset(tmp_path / "out").splits) == set(SPLITS)


def test_a_planted_set_is_not_planted_again_and_the_source_stays(tmp_path):
    data = source(tmp_path / "source")
    before = contents(data)
    asked = Planting(shortcut="tag", of_class="1", share=0.9)
    plant(data, tmp_path / "out", asked)
    with pytest.raises(DataError, match="carries a shortcut already"):
        plant(tmp_path / "out", tmp_path / "twice", asked)
    for place in (data, data / "inside", tmp_path):
        with pytest.raises(UsageError, match="lie in one another"):
            plant(data, place, asked, overwrite=True)
    assert contents(data) == before


def test_names_of_others_are_made_safe_and_kept_apart(tmp_path):
    (tmp_path / "own/a").mkdir(parents=True)
    rows = ["file_name,mask_file_name,label,split"]
    for number, (name, split) in enumerate((n, s) for s in SPLITS for n in (f"a/é {s}.png", f"a/è {s}.png")):
        Image.fromarray(np.full((SIDE, SIDE), number, np.uint8)).save(tmp_path / "own" / name)
        rows.append(f"{name},,{number % 2},{split}")
    (tmp_path / "own/metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    plant(tmp_path / "own", tmp_path / "out", Planting(shortcut="tag", of_class="1", share=1))
    after = read_dataset(tmp_path / "out")
    assert len(set(after.file_names)) == 6
    assert all(name.isascii() for name in after.file_names)
    found = [int(read_levels(after.root / twin)[0, 0]) for twin in after.twin_file_names]
    assert found == list(range(6))


def test_floats_are_refused(tmp_path):
    (tmp_path / "own").mkdir()
    rows = ["file_name,mask_file_name,label,split"]
    for number in range(6):
        Image.fromarray(np.full((SIDE, SIDE), 0.5, np.float32)).save(tmp_path / f"own/{number}.tif")
        rows.append(f"{number}.tif,,{number % 2},{SPLITS[number // 2]}")
    (tmp_path / "own/metadata.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match="stores floats"):
        plant(tmp_path / "own", tmp_path / "out", Planting(shortcut="tag", of_class="1", share=1))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("column", ["twin_file_name", "shortcut_mask_file_name"])
def test_a_planted_file_that_is_gone_is_named(column, tmp_path):
    plant(source(tmp_path / "source"), tmp_path / "out", Planting(shortcut="tag", of_class="1", share=1))
    dataset = read_dataset(tmp_path / "out")
    names = {
        "twin_file_name": dataset.twin_file_names,
        "shortcut_mask_file_name": dataset.shortcut_mask_file_names,
    }
    lost = next(name for name in names[column] if name.startswith(("twins", "shortcuts")))
    (tmp_path / "out" / lost).unlink()
    with pytest.raises(DataError, match=r"metadata.csv, row \d+: .*does not exist"):
        read_dataset(tmp_path / "out")
