import csv
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from digits import (
    CLASSES,
    INK,
    PER_CLASS,
    SIDE,
    TAG_GREY,
    Digits,
    chain,
    draw_digits,
    main,
    write_digits,
)
from PIL import Image
from sklearn.datasets import load_digits

from activmask.data.masks import dilate

PAGE = (Path(__file__).parents[1] / "docs" / "examples" / "digits.md").read_text(encoding="utf-8")

FEW = {"train": 6, "valid": 4, "test": 2}


@pytest.fixture(scope="module")
def digits() -> Digits:
    return draw_digits()


def corners(digits: Digits) -> tuple[np.ndarray, np.ndarray]:
    return digits.images[:, -5:, :5], digits.images[:, -5:, -5:]


def test_an_image_is_the_scan_twice_as_large_in_a_frame():
    one = draw_digits(0, FEW)
    scan = load_digits().images[one.scans[0]]
    for y, x in ((0, 2), (3, 4), (7, 3)):
        expected = round(scan[y, x] * 255 / 16)
        assert (one.images[0, 8 + 2 * y : 10 + 2 * y, 8 + 2 * x : 10 + 2 * x] == expected).all()


def test_every_image_has_one_tag_in_one_bottom_corner_and_nothing_else_in_the_frame(digits):
    left, right = corners(digits)
    assert (right[digits.tag_right] == TAG_GREY).all()
    assert (left[~digits.tag_right] == TAG_GREY).all()
    frame = np.ones((SIDE, SIDE), bool)
    frame[8:-8, 8:-8] = False
    assert ((digits.images[:, frame] > 0).sum(axis=1) == 25).all()


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_the_tag_agrees_with_the_class_in_training_only(digits, split):
    own = np.array(digits.splits) == split
    is_eight = digits.labels[own] == 8
    expected = is_eight if split == "train" else ~is_eight
    np.testing.assert_array_equal(digits.tag_right[own], expected)


def test_masks_are_the_ink_of_the_digit_and_never_the_tag(digits):
    inside = digits.images[:, 8:-8, 8:-8] >= round(INK * 255 / 16)
    np.testing.assert_array_equal(digits.masks[:, 8:-8, 8:-8], inside)
    assert digits.masks.sum() == inside.sum()


@pytest.mark.parametrize("sigma", [0.5, 0.75])
def test_a_mask_grown_a_little_stays_off_the_tag(digits, sigma):
    grown = dilate(torch.from_numpy(digits.masks)[:, None], sigma)[:, 0].numpy()
    assert not grown[:, -5:, :5].any()
    assert not grown[:, -5:, -5:].any()


def test_classes_are_balanced_in_every_split_and_no_scan_is_used_twice(digits):
    for split, count in PER_CLASS.items():
        own = digits.labels[np.array(digits.splits) == split]
        assert [int((own == digit).sum()) for digit in CLASSES] == [count, count]
    assert len(set(digits.scans.tolist())) == len(digits.scans) == 348
    np.testing.assert_array_equal(load_digits().target[digits.scans], digits.labels)


def test_the_seed_alone_decides_the_split():
    first, again, other = draw_digits(1), draw_digits(1), draw_digits(2)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.scans, again.scans)
    assert not np.array_equal(first.scans, other.scans)


def test_the_written_folder_is_what_was_drawn_byte_for_byte(tmp_path):
    few = draw_digits(0, FEW)
    for name in ("once", "again"):
        write_digits(few, tmp_path / name)
    once = {p.relative_to(tmp_path / "once"): p for p in (tmp_path / "once").rglob("*") if p.is_file()}
    assert len(once) == 24 + 24 + 1
    for relative, path in once.items():
        assert path.read_bytes() == (tmp_path / "again" / relative).read_bytes()
    with (tmp_path / "once" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["label"]), row["split"]) for row in rows] == list(
        zip(few.labels, few.splits, strict=True)
    )
    for i in (0, 23):
        name = rows[i]["file_name"]
        with Image.open(tmp_path / "once" / "images" / name) as image:
            np.testing.assert_array_equal(np.asarray(image), few.images[i])
        with Image.open(tmp_path / "once" / "masks" / name) as mask:
            np.testing.assert_array_equal(np.asarray(mask), few.masks[i] * 255)


def test_the_command_says_what_it_wrote_and_what_to_do_next(tmp_path, capsys):
    folder = tmp_path / "my digits"
    main([str(folder)])
    printed = capsys.readouterr().out
    assert "348 images of 32 x 32 px (180 train, 84 valid, 84 test)" in printed
    assert f"activmask prepare-folder '{folder}/images'" in printed
    assert len(list((folder / "images").iterdir())) == 348


def test_the_command_leaves_an_existing_folder_alone(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path)])
    assert "exists already" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_page_has_the_commands_that_come_next():
    for command in chain(Path("digits")):
        assert f"    {shlex.join(['activmask', *command])}\n" in PAGE
    assert "    python docs/examples/digits.py digits --run\n" in PAGE


def test_told_to_run_it_stops_at_a_command_that_fails(tmp_path, monkeypatch):
    called = []

    def call(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append(command[3])
        return subprocess.CompletedProcess(command, 3 if called[-1] == "train" else 0)

    monkeypatch.setattr(subprocess, "run", call)
    with pytest.raises(SystemExit, match="3"):
        main([str(tmp_path / "digits"), "--run"])
    assert called == ["prepare-folder", "train"]
