"""The worked examples of audits, in a short form, and what their page says of them."""

import shlex
from dataclasses import replace
from pathlib import Path

import audit_dicom
import audit_forest
import audit_network
import audit_text_direction
import numpy as np
import pytest
import torch
from digits import CLASSES, PER_CLASS, TAG, TAG_GREY, draw_digits, write_digits
from in_process import told
from markdown_pages import ROOT
from PIL import Image
from safetensors.torch import save_file

PAGE = (ROOT / "docs/examples/audits.md").read_text(encoding="utf-8")

SHORT = ["looks", "leaks", "clinic"]


@pytest.fixture(scope="module")
def tagged():
    return audit_forest.with_squares(audit_forest.with_tags(draw_digits(), audit_forest.SHARE, 0))


def test_nine_in_ten_eights_and_one_in_ten_threes_of_every_split_carry_the_tag_outside_the_masks(tagged):
    tag = tagged.images[:, -TAG:, :TAG].reshape(len(tagged.images), -1)
    there = (tag == TAG_GREY).all(axis=1)
    assert (there | (tag == 0).all(axis=1)).all()
    for split, count in PER_CLASS.items():
        own = np.array(tagged.splits) == split
        shares = [there[own & (tagged.labels == digit)].mean() for digit in CLASSES]
        assert shares == pytest.approx([0.1, 0.9], abs=0.5 / count)
    assert not (tagged.masks[:, -TAG:] | tagged.masks[:, :TAG]).any()
    plain = audit_forest.without_tags(draw_digits())
    assert not plain.images[:, -TAG:].any()
    assert np.array_equal(plain.images[:, :-TAG], tagged.images[:, :-TAG])


@pytest.mark.process
def test_a_forest_is_found_to_read_the_tag_only_where_there_is_one(tagged):
    plain = audit_forest.with_squares(audit_forest.without_tags(draw_digits()))
    found = [
        audit_forest.audit_forest(one, audit_forest.grow_forest(one, 0, 30), without=SHORT, draws=1)
        for one in (tagged, plain)
    ]
    aucs = [audit_forest.rows_of(one) for one in found]
    assert aucs[0]["outside only"] > 0.8
    assert aucs[1]["outside only"] == 0.5
    assert "background as well as the region of interest" in found[0].verdict[0]
    assert found[1].verdict[0].startswith("The model reads the region of interest:")
    assert not any("second time" in note for one in found for note in one.notes)


@pytest.mark.process
def test_a_network_of_three_channels_is_audited_by_the_commands_of_the_page(tmp_path, tagged):
    few = np.concatenate([np.flatnonzero(np.array(tagged.splits) == split)[::6] for split in PER_CLASS])
    digits = replace(
        tagged,
        images=tagged.images[few],
        masks=tagged.masks[few],
        labels=tagged.labels[few],
        scans=tagged.scans[few],
        splits=tuple(tagged.splits[k] for k in few),
    )
    write_digits(digits, tmp_path / "own")
    save_file(audit_network.train_network(digits, 0, epochs=1).state_dict(), tmp_path / "own/net.safetensors")
    prepare, judge = audit_network.chain(tmp_path / "own")
    told(*prepare, cwd=tmp_path)
    printed = told(*judge, "--without", "looks", "--without", "leaks", "--draws", "1", cwd=tmp_path)
    assert "repeated to the 3 channels" in printed.stderr
    assert "Verdict:" in printed.stdout
    assert "tag" not in (tmp_path / "own/labels.csv").read_text()
    assert (tmp_path / "own/page/index.html").is_file()


def test_training_prepares_images_as_the_command_is_told_to():
    images = np.array([[[0, 255]]], np.uint8)
    assert torch.equal(audit_network.prepared(images), torch.tensor([-1.0, 1.0]).expand(1, 3, 1, 2))
    judge = audit_network.chain(Path("own"))[1]
    assert judge[judge.index("--mean") + 1] == judge[judge.index("--std") + 1] == "0.5"


def test_lines_are_upside_down_by_turns_and_the_square_stands_off_the_text():
    lines = audit_text_direction.render_lines(20, 0)
    squared = audit_text_direction.with_squares(lines, 0.9, 0)
    side = audit_text_direction.SQUARE
    dark = (squared.images[:, -side:, :side] == audit_text_direction.INK).all(axis=(1, 2))
    assert [int(dark[lines.labels == label].sum()) for label in (0, 1)] == [1, 9]
    changed = squared.images != lines.images
    assert not (changed & audit_text_direction.with_text_areas(lines).masks).any()
    assert (lines.images[~lines.masks] >= audit_text_direction.DARK).all()
    assert lines.masks.any(axis=(1, 2)).all()


@pytest.mark.process
def test_the_network_that_a_package_ships_reads_text_and_not_paper():
    pytest.importorskip("rapidocr_onnxruntime")
    lines = audit_text_direction.with_text_areas(audit_text_direction.render_lines(24, 0))
    found = audit_text_direction.audit_lines(lines, without=SHORT, draws=1)
    assert audit_forest.rows_of(found)["full"] > 0.9
    assert found.verdict[0].startswith("The model reads the region of interest:")


def test_a_tile_is_a_part_of_its_file_between_its_ends():
    tiles = audit_dicom.read_tiles("CT_small.dcm")
    assert (tiles.shape, tiles.dtype) == ((16, 64, 64), np.uint16)
    assert tiles.max() > 60_000
    assert audit_dicom.otsu(np.array([0, 0, 0, 1000, 1000], np.uint16)) == pytest.approx(500, abs=500)


@pytest.mark.process
def test_dicom_files_become_pictures_without_a_word_of_their_headers(tmp_path):
    audit_dicom.write_folder(tmp_path / "own")
    prepare, export, score = audit_dicom.chain(tmp_path / "own")
    told(*prepare, cwd=tmp_path)
    told(*export, "--draws", "1", cwd=tmp_path)
    audit_dicom.predict(tmp_path / "own/variants", tmp_path / "own/predictions.csv")
    printed = told(*score, cwd=tmp_path).stdout
    assert "too few to tell anything from chance" in printed
    assert audit_dicom.leaked(tmp_path / "own") == []
    with Image.open(next((tmp_path / "own/variants/full").rglob("*.png"))) as picture:
        assert picture.mode.startswith("I")
    name = audit_dicom.header_texts("CT_small.dcm")[0]
    (tmp_path / "own/note.txt").write_text(f"of {name}")
    assert audit_dicom.leaked(tmp_path / "own") == [name]


def test_the_page_has_the_commands_of_its_examples():
    for name in ("audit_forest.py", "audit_network.py", "audit_text_direction.py", "audit_dicom.py"):
        assert f"    python docs/examples/{name}" in PAGE
    for command in (*audit_network.chain(Path("own")), *audit_dicom.chain(Path("tiles"))):
        shown = shlex.join(["activmask", *command]).replace(f"{ROOT}/", "")
        assert f"    {shown}\n" in PAGE
