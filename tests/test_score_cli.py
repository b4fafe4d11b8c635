"""`activmask score` as it is used: maps of all kinds, and everything that is wrong with them."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from in_process import told
from PIL import Image
from tiny_checkpoints import SIDE, write_checkpoint

import activmask as am
from activmask.data.dataset import read_dataset
from activmask.data.dilation import grown
from activmask.data.files.images import read_grey, read_plain_mask
from activmask.data.masks import dilate
from activmask.evaluation.localisation import METRICS

HEIGHT, WIDTH = 12, 10
N = 8


@pytest.fixture
def place(tmp_path) -> Path:
    """A data set of eight images of four subjects, six of them test, one of which has no mask."""
    rng = np.random.default_rng(0)
    rows = ["file_name,mask_file_name,label,subject,site,split"]
    for folder in ("data/images", "data/masks", "maps"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(N):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2 : 5 + number % 3, 3:7] = 255
        picture = rng.integers(0, 256, mask.shape, np.uint8)
        Image.fromarray(picture).save(tmp_path / f"data/images/scan{number}.png")
        Image.fromarray(mask).save(tmp_path / f"data/masks/scan{number}.png")
        named = "" if number == 7 else f"masks/scan{number}.png"
        split, site = ("train" if number < 2 else "test"), ("oslo", "rome")[number // 2 % 2]
        rows.append(f"images/scan{number}.png,{named},{number % 2},p{number // 2},{site},{split}")
        np.save(tmp_path / f"maps/scan{number}.npy", rng.random(mask.shape) + mask / 500)
    (tmp_path / "data/metadata.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def scored(place, *more, code=0):
    result = told("score", "maps", "--data", "data", "--json", *more, cwd=place, code=code)
    return json.loads(result.stdout)


def means(found):
    return {row["metric"]: row["mean"] for row in found["rows"]}


def failed(place, *more, code=3):
    result = told("score", "maps", "--data", "data", *more, cwd=place, code=code)
    assert result.stdout == ""
    return " ".join(result.stderr.split())


def arrays(place, numbers):
    maps = [np.load(place / f"maps/scan{number}.npy") for number in numbers]
    return np.stack(maps), np.stack([read_plain_mask(place / f"data/masks/scan{n}.png") for n in numbers])


def test_a_folder_of_maps_scores_what_the_arrays_score(place):
    result = told("score", "maps", "--data", "data", cwd=place)
    assert "maps against data, test split (5 images of 3 subjects; masks as stored)" in result.stdout
    assert "note: 1 image cannot be scored, no mask: images/scan7.png" in result.stderr
    assert "note: 2 maps of images of other splits are left aside" in result.stderr
    assert "note: the intervals are of 3 subjects" in result.stderr
    found = scored(place)
    assert (found["n"], found["subjects"], found["split"], found["left_out"]) == (
        5,
        3,
        "test",
        {"no mask": 1},
    )
    whose = [f"p{number // 2}" for number in range(2, 7)]
    expected = am.score(*arrays(place, range(2, 7)), whose).to_json()
    for one, other in zip(found["rows"], expected["rows"], strict=True):
        assert list(one.values())[1:] == pytest.approx(list(other.values())[1:])
    for row in found["rows"]:
        assert f"{row['mean']:.3f}" in result.stdout
        assert f"{row['low']:.3f} to {row['high']:.3f}" in result.stdout
        assert row["mean"] > row["chance"]


def test_every_row_is_written_for_a_spreadsheet(place):
    told("score", "maps", "--data", "data", "--out", "scores.csv", cwd=place)
    with (place / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"images/scan{number}.png" for number in range(2, N)]
    assert [row["left_out"] for row in rows] == [""] * 5 + ["no mask"]
    assert (rows[0]["map"], rows[0]["subject"], rows[0]["site"]) == ("maps/scan2.npy", "p1", "rome")
    for name, mean in means(scored(place)).items():
        assert np.mean([float(row[name]) for row in rows[:5]]) == pytest.approx(mean)
        assert rows[5][name] == rows[5][f"{name}, by chance"] == ""


@pytest.mark.parametrize("where", ["nowhere/s.csv", ".", "maps/scan2.npy", "data/metadata.csv"])
def test_the_table_replaces_no_map_and_no_data(place, where):
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    failed(place, "--out", where, code=2)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", ["npz", "png", "tif", "nii", "nii.gz"])
def test_maps_of_every_kind_score_alike(place, kind):
    for path in (place / "maps").glob("*.npy"):
        values = np.round(np.load(path) * 1000).astype(np.uint16)
        np.save(path, values)
    plain = means(scored(place))
    for path in (place / "maps").glob("*.npy"):
        values, target = np.load(path), path.with_suffix(f".{kind}")
        if kind == "npz":
            np.savez(target, values)
        elif "nii" in kind:
            nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), target)
        else:
            Image.fromarray(values).save(target)
        path.unlink()
    assert means(scored(place)) == plain


def test_rows_by_site_label_and_subject(place):
    text = told("score", "maps", "--data", "data", "--by", "site", cwd=place).stdout
    assert "By site: mean, and by chance in brackets" in text
    assert max(map(len, text.splitlines())) < 80
    by = scored(place, "--by", "label")["by"]["label"]
    assert {name: one["n"] for name, one in by.items()} == {"0": 3, "1": 2}
    assert means(by["1"]) == pytest.approx(means(am.score(*arrays(place, [3, 5])).to_json()))
    assert set(scored(place, "--by", "subject")["by"]["subject"]) == {"p1", "p2", "p3"}


def test_the_split_is_the_data_sets_own(place):
    assert scored(place, "--split", "train")["n"] == 2
    assert scored(place, "--split", "all")["n"] == 7
    assert "has no image in its valid split" in failed(place, "--split", "valid")
    table = place / "data/metadata.csv"
    rows = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(rows) + "\n")
    assert scored(place)["split"] == "all"
    assert "the data set names no splits" in failed(place, "--split", "test", code=2)


def test_signs_must_be_said(place):
    for path in (place / "maps").glob("*.npy"):
        np.save(path, np.load(path) - 0.4)
    assert "5 of 5 maps hold negative values, so sign must be said" in failed(place, code=2)
    maps, masks = arrays(place, range(2, 7))
    for sign in ("absolute", "positive"):
        found = scored(place, "--sign", sign)
        assert found["sign"] == sign
        assert means(found) == pytest.approx(means(am.score(maps, masks, sign=sign).to_json()))


def test_channels_are_averaged_after_the_sign_and_told(place):
    maps, masks = arrays(place, range(2, 7))
    signed = np.random.default_rng(1).normal(size=(5, 3, HEIGHT, WIDTH)) + maps[:, None]
    for number, one in zip(range(2, 7), signed, strict=True):
        np.save(place / f"maps/scan{number}.npy", one)
    result = told("score", "maps", "--data", "data", "--sign", "absolute", "--json", cwd=place)
    assert "5 maps of several channels: their mean is scored, taken after the sign" in result.stderr
    expected = means(am.score(np.abs(signed).mean(axis=1), masks).to_json())
    assert means(json.loads(result.stdout)) == pytest.approx(expected)


def test_maps_of_other_sizes_are_refused_or_resized_and_told(place):
    np.save(place / "maps/scan2.npy", np.random.default_rng(0).random((6, 5)))
    sentence = failed(place)
    assert "maps/scan2.npy is 5 x 6 px, but its image is 10 x 12 px (width x height)" in sentence
    assert "1 of 5 images have no map that can be used" in sentence
    result = told("score", "maps", "--data", "data", "--resize", "--json", cwd=place)
    assert "note: of 5 maps 1 resized bilinearly, from 5 x 6 px" in result.stderr
    assert json.loads(result.stdout)["n"] == 5


def test_resizing_keeps_a_constant_map_at_chance(place):
    for number in range(2, 7):
        np.save(place / f"maps/scan{number}.npy", np.full((7, 3), 0.1))
    result = told("score", "maps", "--data", "data", "--resize", "--json", cwd=place)
    found = json.loads(result.stdout)
    assert "of 5 maps 5 constant, which scores chance: maps/scan2.npy" in result.stderr
    assert found["blank"] == 5
    for row in found["rows"]:
        assert row["mean"] == pytest.approx(row["chance"])


def test_masks_grow_as_in_training(place):
    found = scored(place, "--mask-blur", "0.5")
    maps, masks = arrays(place, range(2, 7))
    wider = dilate(torch.from_numpy(masks)[:, None], 0.5)[:, 0].numpy()
    assert wider.sum() > masks.sum()
    assert means(found) == pytest.approx(means(am.score(maps, wider).to_json()))


@pytest.mark.parametrize("native", [None, (24, 50), (5, 10)])
def test_one_mask_grows_as_a_batch_of_them(native):
    masks = np.random.default_rng(0).random((4, HEIGHT, WIDTH)) < 0.02
    sides = None if native is None else torch.tensor([native] * 4)
    for sigma in (0.0, 0.3, 1.0, 2.0):
        together = dilate(torch.from_numpy(masks)[:, None], sigma, sides)[:, 0].numpy()
        for mask, wider in zip(masks, together, strict=True):
            np.testing.assert_array_equal(grown(mask, sigma, native), wider)


def spoil(path, how):
    if how == "missing":
        path.unlink()
    elif how == "nan":
        np.save(path, np.full((HEIGHT, WIDTH), np.nan))
    elif how == "colours":
        path.unlink()
        pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(path.with_suffix(".png"))
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("missing", "the image images/scan3.png has no map"),
        ("nan", "maps/scan3.npy holds 120 values of 120 that are NaN, infinite or beyond"),
        ("empty", "maps/scan3.npy is an empty file (0 bytes)"),
        ("colours", "maps/scan3.png is a picture in colours"),
    ],
)
def test_maps_that_cannot_be_used_are_named_counted_and_an_error(place, how, why):
    spoil(place / "maps/scan3.npy", how)
    sentence = failed(place)
    assert f"unreadable: {why}" in sentence
    assert (
        "1 of 5 images have no map that can be used; write them anew, or give --skip-unreadable" in sentence
    )
    result = told("score", "maps", "--data", "data", "--skip-unreadable", "--json", cwd=place)
    assert "note: 1 of 5 images have no map that can be used and are left out" in result.stderr
    found = json.loads(result.stdout)
    assert (found["n"], len(found["unreadable"])) == (4, 1)
    assert means(found) == pytest.approx(means(am.score(*arrays(place, [2, 4, 5, 6])).to_json()))


def test_nothing_is_left_where_no_map_can_be_used(place):
    for number in range(2, N):
        spoil(place / f"maps/scan{number}.npy", "empty")
    sentence = failed(place, "--skip-unreadable")
    assert "5 of 5 images have no map that can be used; write them anew" in sentence
    assert "give --skip-unreadable" not in sentence


def test_extra_maps_and_other_files_are_told(place):
    shutil.copy(place / "maps/scan2.npy", place / "maps/other.npy")
    (place / "maps/readme.txt").write_text("x")
    (place / "maps/.hidden.npy").write_bytes(b"")
    result = told("score", "maps", "--data", "data", cwd=place)
    assert "note: 1 map of no image: maps/other.npy" in result.stderr
    assert "note: 1 file of another kind among the maps is passed over" in result.stderr


def test_an_image_has_one_map(place):
    shutil.copy(place / "maps/scan2.npy", place / "maps/scan2.npz")
    assert "the image images/scan2.png has 2 maps (scan2.npy, scan2.npz)" in failed(place)


def test_images_of_one_name_in_two_folders_need_maps_laid_like_them(place):
    table = place / "data/metadata.csv"
    (place / "data/more").mkdir()
    shutil.copy(place / "data/images/scan3.png", place / "data/more/scan2.png")
    table.write_text(table.read_text().replace("images/scan3.png", "more/scan2.png"))
    assert "maps/scan2.npy may be the map of images/scan2.png, more/scan2.png" in failed(place)
    for folder, name in (("images", "scan2"), ("more", "scan3")):
        (place / "maps" / folder).mkdir()
        (place / f"maps/{name}.npy").rename(place / f"maps/{folder}/scan2.npy")
    assert scored(place)["n"] == 5


@pytest.mark.parametrize("what", ["nowhere", "maps/scan2.npy", "data/masks"])
def test_a_place_without_maps_is_a_sentence(place, what):
    (place / "data/masks/scan2.png").rename(place / "moved.png")
    shutil.rmtree(place / "data/masks")
    (place / "data/masks").mkdir()
    (place / "moved.png").rename(place / "data/masks/elsewhere.png")
    table = place / "data/metadata.csv"
    table.write_text(table.read_text().replace("masks/", "images/"))
    result = told("score", what, "--data", "data", cwd=place, code=3)
    assert "error:" in result.stderr


def test_masks_that_are_empty_or_full_are_told(place):
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(place / "data/masks/scan2.png")
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(place / "data/masks/scan3.png")
    result = told("score", "maps", "--data", "data", "--json", cwd=place)
    assert "1 image cannot be scored, mask is empty: images/scan2.png" in result.stderr
    assert "1 image cannot be scored, mask covers everything: images/scan3.png" in result.stderr
    found = json.loads(result.stdout)
    assert (found["n"], found["undefined"]) == (3, 2)
    for number in range(4, 7):
        shutil.copy(place / "data/masks/scan2.png", place / f"data/masks/scan{number}.png")
    assert "none of the 6 images can be scored" in failed(place)


def test_plain_masks_do_in_place_of_a_data_set(place):
    result = told("score", "maps", "--masks", "data/masks", "--json", cwd=place)
    found = json.loads(result.stdout)
    assert (found["n"], found["split"]) == (8, "all")
    assert means(found) == pytest.approx(means(am.score(*arrays(place, range(8))).to_json()))
    told("score", "maps", "--masks", "data/masks", "--data", "data", cwd=place, code=2)
    told("score", "maps", cwd=place, code=2)
    told("score", "maps", "--masks", "data/masks", "--by", "site", cwd=place, code=2)


NO_TORCH = """
import sys
from activmask_cli.app import app
try:
    app(["score", "maps", "--data", "data", "--mask-blur", "0.5", "--resize", "--out", "scores.csv"])
except SystemExit as end:
    assert not end.code, end.code
import activmask
activmask.score
print("torch" in sys.modules)
activmask.evaluate
print("torch" in sys.modules)
"""


@pytest.mark.process
def test_no_torch_is_loaded(place):
    np.save(place / "maps/scan2.npy", np.random.default_rng(0).random((6, 5)))
    ended = subprocess.run(
        [sys.executable, "-c", NO_TORCH], cwd=place, capture_output=True, text=True, check=True
    )
    # The last line shows that the one before it could be another.
    assert ended.stdout.splitlines()[-2:] == ["False", "True"]
    assert (place / "scores.csv").is_file()


@pytest.mark.process
def test_maps_that_saliency_wrote_score_as_evaluate_measures(tmp_path):
    told("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--size", SIDE, "--out", "data", cwd=tmp_path)
    settings = {"data": str(tmp_path / "data"), "split_policy": "given", "mask_blur": 0.5}
    checkpoint = write_checkpoint(tmp_path / "run/seed-0/best.safetensors", **settings)
    dataset = read_dataset(tmp_path / "data")
    test = [i for i, split in enumerate(dataset.splits) if split == "test"]
    images = torch.from_numpy(np.stack([read_grey(tmp_path / "data" / dataset.file_names[i]) for i in test]))
    files = [tmp_path / "data" / dataset.file_names[i] for i in test]
    told(
        "saliency",
        checkpoint,
        *files,
        "--method",
        "contrast",
        "--raw",
        "maps",
        "--out",
        "pictures",
        cwd=tmp_path,
    )
    found = json.loads(
        told("score", "maps", "--data", "data", "--mask-blur", 0.5, "--json", cwd=tmp_path).stdout
    )
    loaded = am.load_checkpoint(checkpoint)
    samples = am.load_splits(loaded.config, seed=0)["test"]
    assert torch.equal(samples.images[:, 0], images)
    localisation = am.evaluate(loaded, samples, seed=0).localisation
    assert found["n"] == localisation.n == 4
    theirs = {row.metric: (row.mean, row.sd, row.chance) for row in localisation.rows}
    ours = {row["metric"]: (row["mean"], row["sd"], row["chance"]) for row in found["rows"]}
    assert theirs.keys() == METRICS.keys() < ours.keys()
    for name, numbers in theirs.items():
        assert ours[name] == pytest.approx(numbers, rel=1e-5)
