from pathlib import Path

import numpy as np
import pytest
from dataset_records import records
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.writer import write_dataset
from activmask.ground.errors import ActivmaskError, DataError


@pytest.fixture
def root(tmp_path) -> Path:
    write_dataset(tmp_path / "set", records(), card={"source": "test"}, preview=b"")
    return tmp_path / "set"


def rewrite(root: Path, old: str, new: str) -> None:
    text = (root / "metadata.csv").read_text()
    assert old in text
    (root / "metadata.csv").write_text(text.replace(old, new, 1))


def test_a_missing_folder_says_what_makes_one(tmp_path):
    with pytest.raises(DataError, match=r"folder .*none does not exist; the commands prepare-\* and make-"):
        read_dataset(tmp_path / "none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mask_file_name", "mask", "lacks the column 'mask_file_name'; found 'file_name', 'mask'"),
        ("subject,site", "site,site", "names the column 'site' twice"),
        ("images/image-001.png", "images/gone.png", r"row 3: .*gone.png does not exist"),
        ("masks/image-001.png", "masks/gone.png", r"row 3: .*gone.png does not exist"),
        ("images/image-001.png", "images/image-000.png", "row 3: 'images/image-000.png' is already in row 2"),
        ("images/image-001.png", "/etc/passwd", "row 3: the file name '/etc/passwd' must be relative"),
        ("images/image-001.png", "C:/a.png", "row 3: the file name 'C:/a.png' must be relative"),
        ("images/image-001.png", "images\\\\a.png", "row 3: .* must be relative .* use '/'"),
        ("images/image-001.png", "../set/images/image-001.png", "row 3: .* must name a file inside"),
        ("images/image-001.png", "", "row 3: .* must name a file inside"),
        ("images/image-001.png", "images", "row 3: .* is a folder, expected an image file"),
        (
            "image-001.png,1,",
            "image-001.png,one,",
            "row 3: label must be a class number 0, 1, ...; found 'one'",
        ),
        ("image-001.png,1,", "image-001.png,-1,", "row 3: label must be"),
        ("image-001.png,1,", "image-001.png,1.0,", "row 3: label must be"),
        ("image-001.png,1,", "image-001.png,,", "row 3: label must be"),
        ("image-001.png,1,", "image-001.png,٣,", "row 3: label must be"),
        ("image-001.png,1,", f"image-001.png,{'9' * 5000},", "row 3: label must be"),
        ("image-001.png,1,", "image-001.png,3,", "no image has label 2"),
        ("subject 0", "", "row 2: subject is empty"),
        (",train", ",validation", "row 2: split must be train, valid or test; found 'validation'"),
        (",train", ",", "row 2: split must be train, valid or test; found ''"),
        (",train", ",test", "row 3: subject 'subject 0' is in train, but in test in row 2"),
        (",train", "", "row 2: expected 6 cells, found 5"),
        (",train", ",train,7", "row 2: expected 6 cells, found 7"),
        (",train", ',"train', "not a comma-separated table"),
        (",train", ",\0", "contains NUL"),
        ("subject 0", "x" * 200_000, "row 2: not a comma-separated table"),
    ],
)
def test_broken_tables_name_file_and_row(root, old, new, message):
    rewrite(root, old, new)
    with pytest.raises(DataError, match=message) as caught:
        read_dataset(root)
    assert "metadata.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "is empty, expected text"),
        (b"file_name,mask_file_name,label\n", "no rows below its header"),
        (b"\xff\xfef\0i\0l\0e\0", "is not UTF-8 text"),
        (
            b"file_name;mask_file_name;label\na;b;0\n",
            "has semicolons between its columns; save it with",
        ),
    ],
)
def test_tables_that_are_none(root, table, message):
    (root / "metadata.csv").write_bytes(table)
    with pytest.raises(DataError, match=message):
        read_dataset(root)


def test_a_missing_table(root):
    (root / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"metadata\.csv does not exist"):
        read_dataset(root)


def test_excel_byte_order_mark_and_line_ends(root):
    plain = read_dataset(root)
    text = (root / "metadata.csv").read_bytes().replace(b"\n", b"\r\n")
    (root / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + text + b"\r\n")
    assert read_dataset(root).subjects == plain.subjects


def test_without_a_subject_column_every_image_is_its_own_subject(root):
    rewrite(root, "subject,", "patient,")
    dataset = read_dataset(root)
    assert dataset.subjects == dataset.file_names


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_another_size_names_the_row(root, folder):
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(root / folder / "image-002.png")
    with pytest.raises(DataError, match=r"row 4: .* is 5 x 6 px, but the first image is 6 x 5 px"):
        read_dataset(root)


def test_links_that_leave_the_data_set_are_refused(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    target = root / "images/image-001.png"
    target.rename(outside / "image-001.png")
    target.symlink_to(outside / "image-001.png")
    with pytest.raises(DataError, match=r"row 3: .* leads out of the data set"):
        read_dataset(root)
    target.unlink()
    (root / "more").symlink_to(outside)
    rewrite(root, "images/image-001.png", "more/image-001.png")
    with pytest.raises(DataError, match=r"row 3: .* leads out of the data set"):
        read_dataset(root)


@pytest.mark.parametrize("card", ["", "{", "[1]", "null", "[" * 100_000, "\0"])
def test_a_broken_card(root, card):
    (root / "card.json").write_text(card)
    with pytest.raises(DataError, match=r"card\.json"):
        read_dataset(root)


def test_a_missing_card_is_an_empty_one(root):
    (root / "card.json").unlink()
    assert read_dataset(root).card == {}


def test_an_image_that_breaks_after_its_header_is_found_on_loading(root):
    path = root / "images/image-001.png"
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(DataError, match=r"image-001\.png cannot be read as an image"):
        load_samples(read_dataset(root), [1])


def test_an_image_replaced_after_reading_is_found_on_loading(root):
    dataset = read_dataset(root)
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(root / "images/image-001.png")
    with pytest.raises(DataError, match=r"is 5 x 6 px, expected 6 x 5 px"):
        load_samples(dataset, [1])


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shared") / "set"
    write_dataset(root, records(), card={"source": "test"})
    return root


@settings(max_examples=250)
@given(
    name=st.sampled_from(["metadata.csv", "card.json"]),
    edits=st.lists(
        st.tuples(st.integers(0, 900), st.one_of(st.integers(0, 255), st.sampled_from(b',\n\r"0./'))),
        max_size=4,
    ),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_tables_and_cards_are_read_or_are_user_failures(shared_root, name, edits, keep):
    path = shared_root / name
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for place, value in edits:
        damaged[place % len(damaged)] = value
    path.write_bytes(damaged[: round(keep * len(damaged))])
    try:
        dataset = read_dataset(shared_root)
        load_samples(dataset, range(len(dataset)))
    except ActivmaskError:
        pass
    finally:
        path.write_bytes(whole)
