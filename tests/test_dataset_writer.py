import os
from pathlib import Path

import numpy as np
import pytest
from dataset_records import SHAPE, contents, record, records

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.writer import write_dataset
from activmask.ground.errors import DataError


@pytest.fixture
def root(tmp_path) -> Path:
    write_dataset(tmp_path / "set", records(), card={"source": "test"}, preview=b"")
    return tmp_path / "set"


def test_what_is_written_is_read_back(root):
    dataset = read_dataset(root)
    assert (dataset.height, dataset.width, len(dataset)) == (*SHAPE, 12)
    assert dataset.file_names[1] == "images/image-001.png"
    assert dataset.mask_file_names[:2] == ("", "masks/image-001.png")
    assert dataset.labels.tolist() == [0, 1] * 6
    assert dataset.labels.dtype == np.int64
    assert dataset.subjects[2:4] == ("subject 1", "subject 1")
    assert dataset.sites[:2] == ("søndre", "oslo")
    assert dataset.splits[:6] == ("train", "train", "valid", "valid", "test", "test")


def test_pixels_come_back_exactly(root):
    samples = load_samples(read_dataset(root), [4, 0])
    for k, i in enumerate((4, 0)):
        expected = record(i).image.astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(samples.images[k, 0].numpy(), expected)
    np.testing.assert_array_equal(samples.masks[0, 0].numpy(), record(4).mask)
    assert samples.masks[1].all()
    assert samples.has_mask.tolist() == [True, False]
    assert samples.images.shape == samples.masks.shape == (2, 1, *SHAPE)
    assert samples.names == ("images/image-004.png", "images/image-000.png")


def test_no_samples_at_all(root):
    assert load_samples(read_dataset(root), []).images.shape == (0, 1, *SHAPE)


@pytest.mark.parametrize(("kind", "depth", "top"), [(np.uint16, 16, 65535), (np.bool_, 8, 1)])
def test_sixteen_and_one_bit_images(tmp_path, kind, depth, top):
    pixels = (np.arange(30).reshape(SHAPE) * 2184 % (top + 1)).astype(kind)
    summary = write_dataset(tmp_path / "set", records(4, image=pixels), card={})
    assert summary.bit_depth == depth
    loaded = load_samples(read_dataset(tmp_path / "set"), [0]).images[0, 0].numpy()
    np.testing.assert_array_equal(loaded, pixels.astype(np.float32) / np.float32(top))


def test_the_card_gains_the_facts(root):
    card = read_dataset(root).card
    assert card["source"] == "test"
    assert card["counts"] == {"train": {"0": 2, "1": 2}, "valid": {"0": 2, "1": 2}, "test": {"0": 2, "1": 2}}
    assert (card["format"], card["images"], card["masks"]) == (1, 12, 8)
    assert (card["height"], card["width"], card["bit_depth"]) == (*SHAPE, 8)


def test_the_summary_counts(tmp_path):
    summary = write_dataset(tmp_path / "set", records(6, split=""), card={})
    assert summary.counts == {"all": {0: 3, 1: 3}}
    assert (summary.images, summary.masks, summary.root) == (6, 4, tmp_path / "set")


def test_empty_columns_are_left_out(tmp_path):
    write_dataset(tmp_path / "set", records(4, split="", site=""), card={})
    header = (tmp_path / "set/metadata.csv").read_text().splitlines()[0]
    assert header == "file_name,mask_file_name,label,subject"
    assert read_dataset(tmp_path / "set").splits == ("",) * 4


def test_same_records_same_bytes(root, tmp_path):
    write_dataset(tmp_path / "again", records(), card={"source": "test"}, preview=b"")
    assert contents(root) == contents(tmp_path / "again")
    assert str(tmp_path) not in str(contents(root)["card.json"])


def test_skipped_items_are_listed_and_may_come_while_records_do(tmp_path):
    skipped: list[tuple[str, str]] = []

    def stream():
        yield record(0)
        skipped.append(("b.png", "broken, badly"))
        yield record(1)

    write_dataset(tmp_path / "set", stream(), card={}, skipped=skipped)
    assert (tmp_path / "set/skipped.csv").read_text() == 'file_name,reason\nb.png,"broken, badly"\n'


class Interrupted:
    def __init__(self, error: BaseException):
        self.error = error

    def __iter__(self):
        yield record(0)
        raise self.error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), DataError("no"), ValueError("no"), OSError(28, "No space left")]
)
def test_nothing_is_left_after_a_failure(tmp_path, error):
    with pytest.raises(DataError if isinstance(error, OSError) else type(error)):
        write_dataset(tmp_path / "set", Interrupted(error), card={})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_overwrite_keeps_the_old_data_set(root):
    before = contents(root)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(root, Interrupted(KeyboardInterrupt()), card={}, overwrite=True)
    assert contents(root) == before
    assert [path.name for path in root.parent.iterdir()] == ["set"]


def test_a_file_the_system_takes_in_pieces_is_written_whole(root, tmp_path, monkeypatch):
    whole, write = contents(root), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    write_dataset(tmp_path / "again", records(), card={"source": "test"}, preview=b"")
    assert contents(tmp_path / "again") == whole


def test_nothing_exists_before_all_of_it_does(tmp_path):
    def watching():
        for i in range(4):
            assert not (tmp_path / "set").exists()
            yield record(i)

    write_dataset(tmp_path / "set", watching(), card={})


def test_an_existing_data_set_needs_overwrite(root):
    before = contents(root)
    with pytest.raises(DataError, match="exists already; choose another place or ask for overwrite"):
        write_dataset(root, records(4), card={})
    assert contents(root) == before
    write_dataset(root, records(4), card={}, overwrite=True)
    assert len(read_dataset(root)) == 4
    assert [path.name for path in root.parent.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "names", [["thesis.doc"], ["metadata.csv"], ["metadata.csv", "card.json", "thesis.doc"]]
)
def test_no_other_folder_is_ever_replaced(tmp_path, names):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("precious")
    with pytest.raises(DataError, match="is not a data set"):
        write_dataset(folder, records(4), card={}, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_files_and_links_are_not_replaced(root, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "dangling"):
        with pytest.raises(DataError, match="is not a plain folder"):
            write_dataset(tmp_path / name, records(4), card={}, overwrite=True)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    write_dataset(tmp_path / "set", records(4), card={})
    assert len(read_dataset(tmp_path / "set")) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../escape"}, "must be at most 150 ASCII"),
        ({"name": ""}, "must be at most 150 ASCII"),
        ({"name": ".hidden"}, "must be at most 150 ASCII"),
        ({"name": "IMAGE-000"}, "occurs twice"),
        (
            {"image": np.zeros((3, 3), np.uint8), "mask": None},
            r"is 3 x 3 px of 8 bits, but the first is 6 x 5",
        ),
        ({"image": np.zeros(SHAPE, np.uint16)}, "16 bits, but the first is"),
        ({"image": np.zeros(SHAPE, np.float32)}, "must be uint8, uint16 or bool"),
        ({"image": np.zeros((0, 5), np.uint8)}, "must be uint8, uint16 or bool"),
        ({"mask": np.zeros((2, 2), np.bool_)}, "must be bool"),
        ({"mask": np.zeros(SHAPE, np.uint8)}, "must be bool"),
        ({"label": -1}, "label must be 0, 1"),
        ({"label": 3}, "no image of class 1"),
        ({"subject": ""}, "has no subject"),
        ({"subject": "a\0b"}, "control characters"),
        ({"site": "a\nb"}, "control characters"),
        ({"split": "val"}, "must be train, valid or test"),
        ({"split": ""}, "has no split, but others have one"),
        ({"split": "test"}, "subject 'subject 0' is in train .* and in test"),
    ],
)
def test_records_that_make_no_data_set(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        write_dataset(tmp_path / "set", [record(0), record(1, **changes)], card={})
    assert list(tmp_path.iterdir()) == []


def test_no_records(tmp_path):
    with pytest.raises(DataError, match="no image"):
        write_dataset(tmp_path / "set", [], card={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"twin": np.zeros((6, 5), np.uint16)}, "the twin of 'image-000' must be uint8"),
        ({"twin": np.zeros((3, 3), np.uint8)}, "the twin of 'image-000' must be uint8"),
        ({"shortcut": np.zeros((6, 5), np.bool_)}, "has a shortcut's mask, but no twin"),
        (
            {"twin": np.zeros((6, 5), np.uint8), "shortcut": np.zeros((6, 5), np.uint8)},
            "the shortcut mask of",
        ),
    ],
)
def test_twins_and_shortcuts_must_fit_their_image(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        write_dataset(tmp_path / "set", [record(0, **changes), record(1)], card={})
    assert not (tmp_path / "set").exists()


def test_a_planted_set_is_replaced_when_asked(tmp_path):
    made = [record(i, twin=np.zeros((6, 5), np.uint8)) for i in range(2)]
    for _ in range(2):
        write_dataset(tmp_path / "set", made, card={}, overwrite=True)
    write_dataset(tmp_path / "set", records(2), card={}, overwrite=True)
    assert not (tmp_path / "set/twins").exists()
