"""RSNA's pneumonia challenge as released: boxes as masks, views as sites, and what is left out."""

import csv

import numpy as np
import pytest
from dicom_files import PATIENT
from hypothesis import given
from hypothesis import strategies as st
from in_process import told
from rsna_files import HEADER, SIDE, Rsna

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.files.dicom import dicom_view
from activmask.data.settings import Source
from activmask.data.sources.xray.boxes import boxes_mask, cut_boxes
from activmask.data.sources.xray.rsna import eligible_rsna, prepare_rsna
from activmask.data.splits import SPLITS
from activmask.ground.errors import DataError
from activmask.training.feed.sources import split_rows


def skipped(place):
    with (place / "skipped.csv").open(newline="") as file:
        return {row["file_name"]: row["reason"] for row in csv.DictReader(file)}


def test_boxes_become_masks_views_sites_and_negatives_have_no_mask(tmp_path):
    made = Rsna(tmp_path)
    made.row("ap-sick-0", "30,30,6,6,1")
    made.row("ap-sick-0", "30,30,6,6,1")
    made.write()
    summary, cut = prepare_rsna(made.root, tmp_path / "out", size=SIDE)
    dataset = read_dataset(tmp_path / "out")
    assert (len(dataset), summary.written.masks, cut) == (8, 4, 0)
    rows = {dataset.file_names[i]: i for i in range(len(dataset))}
    assert set(zip(dataset.sites, dataset.labels.tolist(), strict=True)) == {
        ("AP", 0),
        ("AP", 1),
        ("PA", 0),
        ("PA", 1),
    }
    samples = load_samples(dataset, range(len(dataset)))
    assert samples.has_mask.tolist() == (dataset.labels == 1).tolist()
    expected = np.zeros((SIDE, SIDE), bool)
    expected[8:28, 10:22] = expected[30:36, 30:36] = True
    assert np.array_equal(samples.masks[rows["images/AP-ap-sick-0.png"], 0].numpy(), expected)
    expected[30:36, 30:36] = False
    assert np.array_equal(samples.masks[rows["images/PA-pa-sick-1.png"], 0].numpy(), expected)
    assert len(set(dataset.subjects)) == 8
    assert dataset.card["classes"] == {"no pneumonia": 0, "pneumonia": 1}


def test_no_word_of_a_header_reaches_the_data_set(tmp_path):
    made = Rsna(tmp_path)
    made.add("odd", "ZWIRBELBLICK", "1,1,5,5,1", "Lung Opacity")
    made.write()
    prepare_rsna(made.root, tmp_path / "out", size=SIDE)
    assert "names neither AP nor PA" in skipped(tmp_path / "out")["odd"]
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for word in (PATIENT, "ZWIRBELBLICK"):
                assert word.encode() not in content


@pytest.mark.parametrize(
    ("said", "view"),
    [("AP", "AP"), ("PA", "PA"), ("LL", ""), (None, ""), ("", ""), (["AP", "PA"], ""), ("AP ERECT", "")],
)
def test_a_view_is_one_of_three_words(tmp_path, said, view):
    path = Rsna(tmp_path, n=1).image("one", None, **({} if said is None else {"ViewPosition": said}))
    assert dicom_view(path) == (view, (SIDE, SIDE))


def test_what_cannot_be_used_is_named_and_the_rest_is_taken(tmp_path):
    made = Rsna(tmp_path)
    made.add("aa-viewless", None, "1,1,5,5,1", "Lung Opacity")
    made.add("aa-broken", "AP", "1,1,5,5,1", "Lung Opacity").write_bytes(b"no DICOM")
    made.add("aa-both", "AP", "1,1,5,5,1", "Lung Opacity")
    made.row("aa-both", ",,,,0")
    made.add("aa-boxless", "PA", ",,,,1", "Lung Opacity")
    made.add("aa-flat", "PA", "1,1,0,5,1", "Lung Opacity")
    made.add("aa-words", "PA", "1,one,5,5,1", "Lung Opacity")
    made.add("aa-boxed", "PA", "1,1,5,5,0", "Normal")
    made.add("aa-target", "PA", ",,,,2", "Normal")
    made.row("aa-gone", "1,1,5,5,1")
    made.row("../secret", "1,1,5,5,1")
    made.row("", ",,,,0")
    made.write()
    found = eligible_rsna(made.root)
    why = dict(found.eligible.skipped)
    assert len(found.eligible.candidates) == 8
    for name, words in {
        "aa-viewless": "neither AP nor PA",
        "aa-broken": "not a DICOM file",
        "aa-both": "Target 0 and Target 1",
        "aa-boxless": "missing or no four numbers",
        "aa-flat": "no area",
        "aa-words": "no four numbers",
        "aa-boxed": "a box and Target 0",
        "aa-target": "neither 0 nor 1",
        "aa-gone": "no file of that name",
    }.items():
        assert words in why.pop(name)
    assert len(why) == 2
    assert all("patientId" in reason for reason in why.values())


def test_a_drawn_image_whose_pixels_are_broken_or_boxes_beyond_gives_way_to_the_next(tmp_path):
    made = Rsna(tmp_path, n=4)
    for k in range(2):
        made.add(f"ap-far-{k}", "AP", "400,400,20,20,1", "Lung Opacity")
    cut_short = made.image("ap-well-0", "AP")
    cut_short.write_bytes(cut_short.read_bytes()[:-600])
    made.write()
    summary, _ = prepare_rsna(made.root, tmp_path / "out", size=16)
    left_out = skipped(tmp_path / "out")
    assert summary.replaced == len(left_out)
    assert all("beyond its image of 40 x 40 px" in why for name, why in left_out.items() if "far" in name)
    assert {*summary.cells.values()} == {3} or "ap-well-0.dcm" not in left_out
    assert not [name for name in read_dataset(tmp_path / "out").file_names if "far" in name]


def test_boxes_that_reach_over_the_edge_are_cut_there_and_counted(tmp_path):
    made = Rsna(tmp_path, box="30,30,20,20")
    summary, cut = prepare_rsna(made.root, tmp_path / "out", size=SIDE)
    assert cut == 4
    assert read_dataset(tmp_path / "out").card["boxes_cut_at_the_edge"] == 4
    assert summary.written.mask_shares is not None
    samples = load_samples(read_dataset(tmp_path / "out"), range(8))
    assert {int(mask.sum()) for mask, has in zip(samples.masks, samples.has_mask, strict=True) if has} == {
        100
    }


@given(
    box=st.tuples(*[st.floats(-20, 60)] * 2, *[st.floats(0.5, 40)] * 2),
    shape=st.tuples(st.integers(8, 40), st.integers(8, 40)),
)
def test_a_pixel_is_inside_where_its_centre_is(box, shape):
    left, top, wide, high = box
    side = min(shape)
    rows, columns = (np.arange(length) + 0.5 for length in shape)
    inside = ((rows >= top) & (rows < top + high))[:, None] & ((columns >= left) & (columns < left + wide))
    off = [(length - side) // 2 for length in shape]
    square = inside[off[0] : off[0] + side, off[1] : off[1] + side]
    if square.any():
        assert np.array_equal(boxes_mask((box,), shape, side), square)
    else:
        with pytest.raises(DataError, match=r"beyond its image|nothing of its boxes is left"):
            boxes_mask((box,), shape, side)
    reaches = left < 0 or top < 0 or left + wide > shape[1] or top + high > shape[0]
    assert cut_boxes((box,), shape) == reaches


def test_negatives_can_be_the_normal_ones_alone_where_the_second_table_says_so(tmp_path):
    made = Rsna(tmp_path, n=4)
    made.classes = [line for line in made.classes if not line.startswith("pa-sick-3")]
    made.classes = [line.replace("ap-sick-3,Lung Opacity", "ap-sick-3,Normal") for line in made.classes]
    made.write()
    assert len(eligible_rsna(made.root).eligible.candidates) == 16
    found = eligible_rsna(made.root, negatives="normal")
    names = {image.file_name for image in found.eligible.candidates}
    assert names == {
        *(f"{view}-sick-{k}.dcm" for view in ("ap", "pa") for k in range(3)),
        *(f"{view}-well-{k}.dcm" for view in ("ap", "pa") for k in (0, 2)),
    }
    assert {name for name, _ in found.eligible.skipped} == {"ap-sick-3", "pa-sick-3"}
    (made.root / "stage_2_detailed_class_info.csv").unlink()
    with pytest.raises(DataError, match=r"detailed_class_info.csv, which alone says what is normal"):
        eligible_rsna(made.root, negatives="normal")
    assert len(eligible_rsna(made.root).eligible.candidates) == 16


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda made: (made.root / "stage_2_train_labels.csv").unlink(), "holds no stage_2_train_labels.csv"),
        (
            lambda made: (made.root / "stage_2_train_labels.csv").write_text(f"{HEADER[:20]}\na,1,2\n"),
            "lacks the column",
        ),
        (
            lambda made: (made.root / "stage_2_train_images").rename(made.root / "images"),
            "does not exist",
        ),
    ],
)
def test_a_folder_that_is_no_such_collection_is_refused(tmp_path, damage, words):
    made = Rsna(tmp_path, n=1)
    damage(made)
    with pytest.raises(DataError, match=words):
        eligible_rsna(made.root)


def test_the_follow_ups_split_has_pneumonia_with_ap_in_training_and_validation_and_with_pa_in_test(tmp_path):
    made = Rsna(tmp_path, n=10)
    prepare_rsna(made.root, tmp_path / "out", size=16)
    dataset = read_dataset(tmp_path / "out")
    source = Source(
        data=str(tmp_path / "out"), split_policy="site-correlated", correlation=0.1, valid_correlation=0.1
    )
    rows = split_rows(source, dataset, 0)
    for split, share in zip(SPLITS, (0.9, 0.9, 0.1), strict=True):
        with_ap = [(dataset.sites[i] == "AP") == (dataset.labels[i] == 1) for i in rows[split]]
        assert np.mean(with_ap) == pytest.approx(share, abs=0.11)


@pytest.mark.process
def test_the_command_makes_trains_and_refuses(tmp_path):
    made = Rsna(tmp_path, n=4)
    command = ("prepare-xray", "--rsna", made.root)
    said = " ".join(told(*command, "--dry-run", cwd=tmp_path).stdout.split())
    assert "drawn: 4 of each view and class, 16 images" in said
    said = " ".join(told(*command, "--size", 16, "--out", "out", cwd=tmp_path).output.split())
    assert "16 images of 16 x 16 px, 16 bits; 8 masks" in said
    assert "each image is a subject" in said
    assert "--mask file --image-size 16 --correlation 0.1" in said
    told(
        *(
            "train",
            "--preset",
            "xray",
            "--mask",
            "file",
            "--data",
            "out",
            "--image-size",
            16,
            "--model",
            "cnn",
        ),
        *(
            "--width",
            2,
            "--epochs",
            1,
            "--actdiff",
            1,
            "--correlation",
            0.25,
            "--device",
            "cpu",
            "--out",
            "run",
        ),
        cwd=tmp_path,
    )
    for flags, words in (
        ((*command, "--nih", "x"), "--nih belongs to NIH ChestX-ray14 and PadChest"),
        ((*command, "--masks", "x", "--paper-views"), "--masks and --paper-views belong to"),
        (("prepare-xray", "--nih", "x", "--negatives", "normal"), "--negatives belongs to --rsna"),
    ):
        result = told(*flags, cwd=tmp_path, code=2)
        assert words in " ".join((result.stdout + result.stderr).split())
