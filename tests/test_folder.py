import csv

import numpy as np
import pytest
from PIL import Image
from user_folder import Folder, cats_and_dogs, grey, half

from activmask.data.dataset import load_samples
from activmask.data.sources.folder.prepare import prepare_folder
from activmask.ground.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path) -> Folder:
    return cats_and_dogs(tmp_path)


def test_labels_are_numbered_and_masks_found_by_their_stem(folder):
    summary = folder.prepare()
    assert summary.classes == {"cat": 0, "dog": 1}
    assert (summary.written.images, summary.written.masks, summary.skipped) == (4, 2, ())
    dataset = folder.written()
    assert dataset.labels.tolist() == [0, 1, 1, 0]
    assert dataset.file_names == ("images/a.png", "images/b.png", "images/sub_a.png", "images/c.png")
    assert dataset.mask_file_names == ("masks/a.png", "", "masks/sub_a.png", "")
    assert dataset.subjects == ("a.png", "b.tif", "sub/a.jpg", "c.png")
    assert dataset.card["classes"] == {"cat": 0, "dog": 1}
    assert dataset.card["source"] == "folder"


def test_pixels_and_masks_are_kept(folder):
    folder.prepare()
    samples = load_samples(folder.written(), [1, 0])
    np.testing.assert_allclose(samples.images[0], 50 / 255)
    np.testing.assert_array_equal(samples.masks[1, 0].numpy(), half() > 0)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("2", "10", "2", "10"), {"2": 0, "10": 1}),
        (("01", "1", "0", "0"), {"0": 0, "1": 1}),
        (("-1", "1", "1", "-1"), {"-1": 0, "1": 1}),
        (("2", "10", "x", "x"), {"10": 0, "2": 1, "x": 2}),
    ],
)
def test_whole_numbers_sort_by_value_and_names_by_letter(folder, labels, classes):
    names = ("a.png", "b.tif", "sub/a.jpg", "c.png")
    folder.table("file_name,label", *(f"{n},{label}" for n, label in zip(names, labels, strict=True)))
    assert folder.prepare().classes == classes


def test_optional_columns_are_kept(folder):
    folder.table(
        "label,site,file_name,subject,split,mask_file_name",
        "1,x,a.png,anna,train,sub/a.tif",
        "0,y,b.tif,bo,test,",
        "1,y,c.png,bo,test,a.png",
    )
    folder.prepare()
    dataset = folder.written()
    assert dataset.subjects == ("anna", "bo", "bo")
    assert dataset.sites == ("x", "y", "y")
    assert dataset.splits == ("train", "test", "test")
    assert dataset.mask_file_names == ("masks/a.png", "", "masks/c.png")


def test_without_masks(folder):
    assert folder.prepare(masks=None).written.masks == 0


def test_one_image_of_sixteen_bits_makes_all_sixteen(folder):
    folder.image("a.png", grey(40_000, kind=np.uint16))
    assert folder.prepare().written.bit_depth == 16
    samples = load_samples(folder.written(), range(4)).images[:, 0, 0, 0].numpy()
    np.testing.assert_allclose(samples[:2], [40_000 / 65535, 50 / 255], atol=1e-7)


def test_eight_bits_stay_eight(folder):
    assert folder.prepare().written.bit_depth == 8
    with Image.open(folder.out / "images/b.png") as image:
        assert image.mode == "L"


def test_resizing_averages_images_and_picks_masks(folder):
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 16))
    folder.image("a.png", stripes)
    folder.mask("a.png", half(32))
    folder.prepare(size=4)
    samples = load_samples(folder.written(), [0])
    assert samples.images.shape == (1, 1, 4, 4)
    assert 0.3 < samples.images.min() <= samples.images.max() < 0.7
    np.testing.assert_array_equal(samples.masks[0, 0].numpy(), half(4) > 0)


def test_sizes_that_differ_need_a_size(folder):
    folder.image("b.tif", grey(1, 9))
    with pytest.raises(DataError, match=r"b\.tif is 9 x 9 px, but .*a\.png is 8 x 8 px; give a size"):
        folder.prepare()
    assert not folder.out.exists()


def test_a_region_that_resizing_would_lose_is_skipped_not_dropped_in_silence(folder):
    dot = np.zeros((8, 8), np.uint8)
    dot[0, 0] = 1
    folder.mask("a.png", dot)
    ((name, reason),) = folder.prepare(size=2).skipped
    assert name == "a.png"
    assert "vanishes at 2 px" in reason


def test_an_empty_mask_is_no_mask_and_is_counted(folder):
    folder.mask("a.png", grey(0))
    summary = folder.prepare()
    assert (summary.empty_masks, summary.written.masks) == (1, 1)


def test_broken_items_are_skipped_and_listed(folder, tmp_path):
    folder.image("cut.png", np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8))
    data = (folder.images / "cut.png").read_bytes()
    (folder.images / "cut.png").write_bytes(data[:60])
    (folder.images / "empty.png").write_bytes(b"")
    (folder.images / "text.png").write_text("no image")
    folder.image("small.png", grey(9))
    folder.mask("small.png", half(4))
    (tmp_path / "secret.png").write_bytes((folder.images / "a.png").read_bytes())
    odd = (
        "cut.png",
        "empty.png",
        "text.png",
        "gone.png",
        "../secret.png",
        str(tmp_path / "secret.png"),
        "small.png",
    )
    with folder.labels.open("a") as table:
        table.write("".join(f"{name},cat,\n" for name in (*odd, "a.png", "")) + "c2.png,,\n")
    summary = folder.prepare()
    reasons = dict(summary.skipped)
    assert set(reasons) == {*odd, "a.png", "", "c2.png"}
    assert summary.written.images == 4
    assert "listed already in row 2" in reasons["a.png"]
    assert "label is empty" in reasons["c2.png"]
    assert "another size" in reasons["small.png"]
    with (folder.out / "skipped.csv").open(newline="") as file:
        assert [(row["file_name"], row["reason"]) for row in csv.DictReader(file)] == list(summary.skipped)
    assert str(folder.images) not in (folder.out / "skipped.csv").read_text()
    assert len(folder.written()) == 4


def test_an_empty_subject_is_skipped(folder):
    folder.table("file_name,label,subject", "a.png,0,anna", "b.tif,1,bo", "c.png,1,")
    assert "subject is empty" in folder.prepare().skipped[0][1]


def test_a_class_whose_images_all_break_is_numbered_away(folder):
    data = (folder.images / "c.png").read_bytes()
    (folder.images / "c.png").write_bytes(data[:-20])
    folder.table("file_name,label", "c.png,ant", "a.png,cat", "b.tif,dog", "sub/a.jpg,dog")
    summary = folder.prepare()
    assert summary.classes == {"cat": 0, "dog": 1}
    assert [name for name, _ in summary.skipped] == ["c.png"]
    assert folder.written().labels.tolist() == [0, 1, 1]


def test_what_is_left_must_have_two_classes(folder):
    folder.table("file_name,label", "a.png,cat", "c.png,cat", "gone.png,dog")
    with pytest.raises(
        DataError, match=r"leaves 2 images of one class, 'cat', .* 1 were skipped, .*gone\.png does not"
    ):
        folder.prepare()
    folder.table("file_name,label", "gone.png,cat")
    with pytest.raises(DataError, match="leaves 0 images at all"):
        folder.prepare(masks=None)
    assert not folder.out.exists()


@pytest.mark.parametrize("bad", ["val", ""])
def test_a_split_by_another_name_is_no_broken_item(folder, bad):
    folder.table("file_name,label,split", "a.png,cat,train", f"b.tif,dog,{bad}")
    with pytest.raises(DataError, match=f"row 3: split must be train, valid or test; found '{bad}'"):
        folder.prepare()


def test_a_subject_in_two_splits_fails(folder):
    folder.table("file_name,label,split,subject", "a.png,cat,train,anna", "b.tif,dog,test,anna")
    with pytest.raises(DataError, match="subject 'anna' is in train"):
        folder.prepare()


def test_masks_that_match_nothing_fail(folder, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"no image has a mask of its name .* expected for example a\.png"):
        folder.prepare(masks=tmp_path / "other")


def test_masks_of_no_image_are_told_where_images_have_none(folder):
    (folder.masks / "a.png").rename(folder.masks / "A.png")
    folder.mask("c_mask.png", half())
    folder.mask("._c.png", half())
    [told] = [note for note in folder.prepare().notes if "the name of no image" in note]
    assert told.startswith(
        "2 masks have the name of no image, the first 'A.png', and 3 images have no mask; "
    )


def test_masks_of_images_that_the_table_leaves_out_are_no_strays(folder):
    folder.image("more.png", grey(9))
    folder.mask("more.png", half())
    assert not any("the name of no image" in note for note in folder.prepare().notes)


def test_rows_of_nothing_are_passed_over_and_rows_without_a_file_are_named(folder):
    text = folder.labels.read_text()
    width = text.splitlines()[0].count(",")
    folder.labels.write_text(
        text + width * "," + "\n" + " ,x".ljust(width + 2, ",") + "\n" + width * " ," + "\n"
    )
    rows = len(text.splitlines())
    assert folder.prepare().skipped == (("", f"row {rows + 2} names no file"),)


def test_a_name_with_a_line_break_is_a_subject_as_it_is_shown(folder):
    folder.image("d\ne.png", grey(9))
    folder.table("file_name,label", "a.png,cat", "b.tif,dog", '"d\ne.png",cat')
    assert folder.prepare().skipped == ()
    assert folder.written().subjects == ("a.png", "b.tif", r"d\ne.png")


def test_two_masks_of_one_name_are_skipped(folder):
    folder.mask("a.tif", half())
    assert "two masks have its name" in folder.prepare().skipped[0][1]


def test_names_are_made_safe_and_distinct(folder):
    names = [
        "A.png",
        "ä/ö.png",
        "ü.png",
        "x y/(1).png",
        "x_y_1.png",
        "n" * 200 + ".png",
        "train/1.png",
        "a-2.png",
    ]
    for name in names:
        folder.image(name, grey(7))
    folder.table("file_name,label", "a.png,0", *(f"{name},1" for name in names))
    assert folder.prepare().skipped == ()
    stored = [name.removeprefix("images/") for name in folder.written().file_names]
    assert stored[:5] == ["a.png", "A-2.png", "image.png", "image-2.png", "x_y_1.png"]
    assert stored[5:] == ["x_y_1-2.png", "n" * 100 + ".png", "Train_1.png", "a-2-2.png"]


def test_input_may_not_lie_in_the_output(folder):
    folder.prepare()
    with pytest.raises(UsageError, match="would be replaced"):
        prepare_folder(folder.out / "images", folder.out / "metadata.csv", folder.out, overwrite=True)


@pytest.mark.parametrize("size", [0, -3, 100_000])
def test_senseless_sizes(folder, size):
    with pytest.raises(UsageError, match="size must be from 1 to 8,192"):
        folder.prepare(size=size)


def test_missing_inputs(folder, tmp_path):
    with pytest.raises(DataError, match="none does not exist; name an existing folder of masks"):
        folder.prepare(masks=tmp_path / "none")
    with pytest.raises(DataError, match=r"labels\.csv is no folder; name an existing folder of masks"):
        folder.prepare(masks=folder.labels)
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        prepare_folder(folder.images, tmp_path / "none.csv", folder.out)
    folder.table("filename,label", "a.png,0")
    with pytest.raises(DataError, match="lacks the column 'file_name'; found 'filename', 'label'"):
        folder.prepare()


def test_an_interruption_leaves_nothing(folder, tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.prepare(progress=interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "labels.csv", "masks"]


def test_progress_counts_every_item(folder):
    steps: list[tuple[int, int]] = []
    folder.prepare(progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_same_folder_same_bytes(folder, tmp_path):
    folder.prepare()
    first = {path.name: path.read_bytes() for path in folder.out.rglob("*") if path.is_file()}
    folder.prepare(overwrite=True)
    assert first == {path.name: path.read_bytes() for path in folder.out.rglob("*") if path.is_file()}


def test_bytes_of_names_that_are_no_text_do_not_stop_the_table(folder):
    strange = folder.masks / "sub" / b"\xff.png".decode("utf-8", "surrogateescape")
    try:
        strange.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system refuses such names")
    assert folder.prepare().written.images == 4


def test_further_columns_of_the_table_are_kept(tmp_path):
    made = cats_and_dogs(tmp_path)
    made.table(
        "file_name,label,sex,,image",
        "a.png,cat,F,1,x",
        'b.tif,dog,"M, known",2,x',
        "sub/a.jpg,dog,nan,3,x",
        "c.png,cat,F,4,x",
    )
    summary = made.prepare()
    assert made.written().columns == {"sex": ("F", "M, known", "", "F")}
    assert [note for note in summary.notes if "'image' is not kept" in note]
