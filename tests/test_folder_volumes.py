"""NIfTI volumes of a user's folder as slices: whose labels, which masks, and what is refused."""

import csv
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_files import gradient, write_dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from msd_files import AFFINE, SHAPE, organ, save, voxels
from user_folder import Folder, grey

from activmask.data.dataset import load_samples
from activmask.data.files.mask_values import MaskReading
from activmask.data.files.nifti import read_volume, volume_frame
from activmask.data.files.volume_slices import percentile_window, resized_image, resized_mask, upright_image
from activmask.ground.errors import ActivmaskError, DataError, UsageError


@pytest.fixture
def folder(tmp_path) -> Folder:
    made = Folder(tmp_path)
    for k, name in enumerate("abc"):
        save(made.images / f"{name}.nii.gz", voxels(k))
        save(made.masks / f"{name}.nii.gz", organ())
    made.table("file_name,label,sex", "a.nii.gz,ill,F", "b.nii.gz,well,M", "c.nii.gz,ill,F")
    return made


def test_a_label_for_a_volume_is_that_of_all_its_slices(folder):
    summary = folder.prepare(size=16)
    dataset = folder.written()
    assert (len(dataset), summary.classes) == (18, {"ill": 0, "well": 1})
    assert dataset.labels.tolist() == 6 * [0] + 6 * [1] + 6 * [0]
    assert dataset.subjects == tuple(f"{name}.nii.gz" for name in "abc" for _ in range(6))
    assert dataset.columns == {
        "sex": tuple(6 * "F" + 6 * "M" + 6 * "F"),
        "slice": tuple(str(z) for _ in "abc" for z in range(6)),
    }
    assert dataset.file_names[:2] == ("images/a-z000.png", "images/a-z001.png")
    assert [name != "" for name in dataset.mask_file_names[:6]] == [False, False, True, True, True, True]
    assert any("3 volumes have one label for all slices" in note for note in summary.notes)
    assert "3 label volumes hold 0" in summary.volumes
    assert "above 0 is inside" in summary.volumes


def test_slices_are_those_of_the_decathlon(folder):
    folder.prepare(size=16)
    samples = load_samples(folder.written(), [4])
    image, label = (read_volume(place / "a.nii.gz") for place in (folder.images, folder.masks))
    window = percentile_window(folder.images / "a.nii.gz", image)
    np.testing.assert_array_equal(
        samples.images[0, 0].numpy(), resized_image(image, 4, window, 16) / np.float32(65535)
    )
    inside = resized_mask(label.stored[:, :, 4] > 0, image.spacing, 16)
    np.testing.assert_array_equal(samples.masks[0, 0].numpy(), inside)


def test_slices_keep_their_own_size_and_take_a_window(folder):
    folder.prepare(window=(-160.0, 240.0))
    dataset = folder.written()
    assert (dataset.height, dataset.width) == (SHAPE[1], SHAPE[0])
    image = read_volume(folder.images / "b.nii.gz")
    expected = upright_image(image, 2, (-160.0, 240.0))
    np.testing.assert_allclose(load_samples(dataset, [8]).images[0, 0], expected, atol=1e-5)
    assert dataset.card["window"] == {"low": -160, "high": 240, "unit": "value"}
    assert dataset.card["formats"] == ["NIfTI"]


def test_a_volume_stored_the_other_way_round_gives_the_same_slices(folder):
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = SHAPE[0] - 1
    for place, array in ((folder.images, voxels(0)), (folder.masks, organ())):
        save(place / "c.nii.gz", array[::-1], AFFINE @ flipped)
    folder.prepare(size=16)
    samples = load_samples(folder.written(), range(18))
    np.testing.assert_array_equal(samples.images[:6], samples.images[12:])
    np.testing.assert_array_equal(samples.masks[:6], samples.masks[12:])


def test_a_label_for_each_slice(folder):
    folder.table("slice,file_name,label", "3,a.nii.gz,ill", "0,b.nii.gz,well", "1,a.nii.gz,well")
    folder.prepare(size=16)
    dataset = folder.written()
    # Slices of one volume lie beside each other, so that it is read once.
    assert dataset.columns == {"slice": ("3", "1", "0")}
    assert dataset.labels.tolist() == [0, 1, 1]
    assert dataset.subjects == ("a.nii.gz", "a.nii.gz", "b.nii.gz")


def test_the_masks_tell_the_labels(folder):
    folder.table("file_name", "a.nii.gz", "b.nii.gz")
    summary = folder.prepare(size=16, label_from_mask=True)
    dataset = folder.written()
    assert summary.classes == {"absent": 0, "present": 1}
    assert dataset.labels.tolist() == 2 * [0, 0, 1, 1, 1, 1]
    assert [name != "" for name in dataset.mask_file_names] == 2 * [False, False, True, True, True, True]
    summary = folder.prepare(size=16, label_from_mask=True, mask_labels=(2,), overwrite=True)
    assert folder.written().labels.tolist() == 2 * [0, 0, 0, 0, 0, 1]
    assert folder.written().card["mask_labels"]["values"] == [2]
    assert "2 is inside" in summary.volumes


def test_masks_tell_the_labels_of_pictures_too(tmp_path):
    made = Folder(tmp_path)
    for name, inside in (("a", 0), ("b", 255), ("c", 255)):
        made.image(f"{name}.png", grey(100))
        if name != "c":
            made.mask(f"{name}.png", grey(0) + np.triu(grey(inside)))
    made.table("file_name", "a.png", "b.png", "c.png")
    summary = made.prepare(label_from_mask=True)
    assert made.written().labels.tolist() == [0, 1]
    assert summary.skipped == (("c.png", "it has no mask, which is to tell its label"),)


def test_pictures_and_volumes_may_lie_in_one_folder(folder):
    folder.image("p.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    folder.table("file_name,label", "a.nii.gz,ill", "p.png,well")
    folder.prepare(size=16)
    assert folder.written().columns["slice"] == ("0", "1", "2", "3", "4", "5", "")


def test_a_column_slice_of_pictures_is_one_like_others(tmp_path):
    made = Folder(tmp_path)
    for k in range(2):
        made.image(f"{k}.png", grey(9 + k))
    made.table("file_name,label,slice", "0.png,0,upper", "1.png,1,lower")
    made.prepare(masks=None)
    assert made.written().columns == {"slice": ("upper", "lower")}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            ("a.nii.gz,ill,", "a.nii.gz,well,3"),
            r"row 3: .* labelled here by its slice 3, but as a whole in row 2",
        ),
        (
            ("a.nii.gz,ill,6", "b.nii.gz,well,0"),
            r"row 2: 'a\.nii\.gz' has no slice 6: its 6 slices .* 0 to 5",
        ),
        (("a.nii.gz,ill,1.5", "b.nii.gz,well,0"), r"row 2: slice must be the number .* found '1\.5'"),
        (("a.nii.gz,ill,-1", "b.nii.gz,well,0"), r"row 2: slice must be the number"),
    ],
)
def test_tables_that_contradict_volumes_are_refused_whole(folder, rows, said):
    folder.table("file_name,label,slice", *rows)
    with pytest.raises(DataError, match=said):
        folder.prepare(size=16)
    assert not folder.out.exists()


def test_a_label_beside_masks_that_tell_it_is_refused(folder):
    with pytest.raises(DataError, match="has a column label, but the masks are to tell the labels"):
        folder.prepare(label_from_mask=True)
    folder.table("file_name", "a.nii.gz")
    for place in folder.masks.iterdir():
        save(place, np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match="the masks leave images of one class, 'absent'"):
        folder.prepare(label_from_mask=True, size=16)


def broken(folder: Folder) -> dict[str, Path]:
    """Volumes that cannot be used, in the place of a.nii.gz and its labels."""
    return {"image": folder.images / "a.nii.gz", "label": folder.masks / "a.nii.gz"}


@pytest.mark.parametrize(
    ("which", "array", "affine", "said"),
    [
        ("label", organ()[:, :, :5], AFFINE, "12 x 10 x 5 voxels but its image 12 x 10 x 6"),
        ("label", organ(), AFFINE + np.diag([0.5, 0, 0, 0]), "lies elsewhere in the patient than its image"),
        ("label", organ() * 0.5, AFFINE, "holds label values between whole numbers"),
        ("label", organ().astype(np.int16) - 1, AFFINE, "holds values outside 0 to 65535"),
        ("image", voxels() * np.nan, AFFINE, "NaN or infinite"),
        ("image", np.zeros((12, 10, 6, 3)), AFFINE, "has 3 channels in its fourth axis"),
        ("image", np.zeros((12, 10)), AFFINE, "has 12 x 10 voxels"),
    ],
)
def test_a_volume_that_cannot_be_used_is_skipped_once(folder, which, array, affine, said):
    save(broken(folder)[which], array, affine)
    summary = folder.prepare(size=16)
    assert [name for name, _ in summary.skipped] == ["a.nii.gz"]
    assert said in summary.skipped[0][1]
    assert str(folder.images) not in summary.skipped[0][1]
    assert len(folder.written()) == 12
    with (folder.out / "skipped.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_a_turn_that_is_none_is_a_broken_header(folder):
    path = folder.images / "a.nii.gz"
    image = nibabel.load(path)
    image.header["sform_code"], image.header["qform_code"] = 0, 1
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[256:260] = np.float32(3).tobytes()
    path.write_bytes(gzip.compress(data))
    assert folder.prepare(size=16).skipped[0][1] == ("a.nii.gz has a broken NIfTI header; download it again")


def test_a_flipped_bit_of_a_volume_is_found(folder):
    path = folder.images / "a.nii.gz"
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert "gzip is corrupt" in folder.prepare(size=16).skipped[0][1]


def test_a_header_that_claims_more_than_there_is_is_refused_before_it_is_taken(folder):
    path = folder.images / "a.nii"
    save(path, voxels())
    data = bytearray(path.read_bytes())
    data[42:48] = b"\xff\x7f" * 3
    for place, content in ((path, data), (folder.images / "a.nii.gz", gzip.compress(data))):
        place.write_bytes(content)
        for read in (volume_frame, read_volume):
            with pytest.raises(DataError, match=r"claims more than .* voxels|truncated"):
                read(place)


def test_a_region_that_vanishes_is_told_by_its_slice(folder):
    dot = np.zeros(SHAPE, np.uint8)
    dot[0, 0, 3] = 1
    dot[:, :, 5] = 1
    save(folder.masks / "a.nii.gz", dot)
    summary = folder.prepare(size=3)
    assert ("a.nii.gz slice 3", "the region in the mask a.nii.gz vanishes at 3 px; choose a larger size") in (
        summary.skipped
    )


def test_masks_of_the_other_kind_are_refused(folder):
    (folder.masks / "a.nii.gz").unlink()
    folder.mask("a.png", grey(1))
    folder.image("p.png", grey(1))
    folder.table(
        "file_name,label,mask_file_name",
        "a.nii.gz,ill,a.png",
        "b.nii.gz,well,",
        "p.png,ill,b.nii.gz",
        "c.nii.gz,ill,",
    )
    told = dict(folder.prepare(size=16).skipped)
    assert "the mask a.png is no NIfTI volume, but its image is one" in told["a.nii.gz"]
    assert "the mask b.nii.gz is a NIfTI volume, but its image is none" in told["p.png"]


def of_two_channels(folder, *header_and_subjects: str) -> None:
    """Two files for each case, as nnU-Net keeps channels, and one label volume."""
    for k, name in enumerate("abc"):
        (folder.images / f"{name}.nii.gz").rename(folder.images / f"{name}_0000.nii.gz")
        save(folder.images / f"{name}_0001.nii.gz", voxels(10 + k))
    names = [f"{name}_000{k}.nii.gz" for name in "abc" for k in (0, 1)]
    header, *subjects = header_and_subjects or ("file_name,label",)
    rows = [f"{name},{'ill' if name[0] == 'a' else 'well'}" for name in names]
    folder.table(header, *(f"{row}{more}" for row, more in zip(rows, subjects or 6 * [""], strict=True)))


def test_channels_of_one_case_are_of_one_patient(folder):
    of_two_channels(folder)
    summary = folder.prepare(size=16)
    assert summary.subjects == 3
    assert set(folder.written().subjects) == {"a_0000.nii.gz", "b_0000.nii.gz", "c_0000.nii.gz"}
    assert any(note.startswith("6 volumes are channels of 3 cases, by nnU-Net's") for note in summary.notes)


def test_a_table_that_gives_channels_of_one_case_to_two_subjects_is_refused(folder):
    of_two_channels(folder, "file_name,label,subject", ",an", ",bo", ",cy", ",cy", ",di", ",di")
    with pytest.raises(
        DataError, match=r"'a_0000.*' and 'a_0001.*' are channels of one case .*'an' and 'bo'"
    ):
        folder.prepare(size=16)


def test_numbers_of_patients_are_no_channels(folder):
    """Files numbered as nnU-Net numbers channels, each with a label volume of its own."""
    for k in (1, 2):
        save(folder.images / f"p_000{k}.nii.gz", voxels(k))
        save(folder.masks / f"p_000{k}.nii.gz", organ())
    folder.table("file_name,label", "p_0001.nii.gz,ill", "p_0002.nii.gz,well")
    assert folder.prepare(size=16).subjects == 2


def test_the_label_of_nnunets_channel_has_the_name_of_its_case(folder):
    save(folder.images / "a_0000.nii.gz", voxels())
    folder.table("file_name,label", "a_0000.nii.gz,ill", "b.nii.gz,well")
    assert folder.prepare(size=16).written.masks == 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": (5.0, 5.0)}, "must rise from a low to a high value"),
        ({"mask_labels": (0, 1)}, "mask_labels must be from 1 to 65,535"),
        ({"mask_reading": MaskReading(values=(1.0,))}, "all masks are label volumes"),
        ({"masks": None, "mask_labels": (1,)}, "mask_labels has no effect: no NIfTI volume has a mask"),
    ],
)
def test_what_makes_no_sense_for_volumes(folder, options, said):
    with pytest.raises(UsageError, match=said):
        folder.prepare(size=16, **options)


def test_options_of_volumes_without_a_volume(tmp_path):
    made = Folder(tmp_path)
    for k in range(2):
        made.image(f"{k}.png", grey(9 + k))
    made.table("file_name,label", "0.png,0", "1.png,1")
    with pytest.raises(UsageError, match="the window has no effect"):
        made.prepare(masks=None, window=(0.0, 1.0))


def test_labels_that_no_volume_holds_are_refused(folder):
    with pytest.raises(DataError, match=r"mask_labels names 7, which no label volume holds: they hold 0 \("):
        folder.prepare(size=16, mask_labels=(1, 7))
    assert not folder.out.exists()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory) -> Folder:
    made = Folder(tmp_path_factory.mktemp("fuzzed"))
    save(made.images / "a.nii", voxels())
    save(made.masks / "a.nii", organ())
    for k, name in enumerate("bc"):
        write_dicom(made.images / name, gradient(8, 8) + k, WindowCenter=900, WindowWidth=2000)
        write_dicom(made.masks / name, (gradient(8, 8) > 900).astype(np.uint8))
    made.table("file_name,label", "a.nii,0", "b,1", "c,0")
    return made


@pytest.mark.process
@settings(max_examples=60)
@given(
    which=st.sampled_from(["images/a.nii", "masks/a.nii", "images/b", "masks/b"]),
    edits=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=4),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_files_are_skipped_or_a_user_failure(fuzzed, which, edits, keep):
    path = fuzzed.labels.parent / which
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for place, value in edits:
        damaged[place % len(damaged)] = value
    path.write_bytes(damaged[: round(keep * len(damaged))])
    try:
        fuzzed.prepare(overwrite=True, size=8)
        assert len(fuzzed.written())
    except ActivmaskError:
        pass
    finally:
        path.write_bytes(whole)


def coded(
    path: Path, array: np.ndarray, sform: np.ndarray | None, qform: np.ndarray | None, sform_code: int = 1
) -> None:
    """Write a volume with both affines, either or none."""
    volume = nibabel.Nifti1Image(array, None)
    volume.set_sform(sform, sform_code * (sform is not None))
    volume.set_qform(qform, int(qform is not None))
    nibabel.save(volume, path)


TURNED = np.array([[0, 0, 2.0, 3], [1, 0, 0, -5], [0, 1, 0, -4], [0, 0, 0, 1]])
TILTED = AFFINE @ np.array([[0.98, -0.199, 0, 9], [0.199, 0.98, 0, 7], [0, 0, 1.1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("qform", [AFFINE * [[-1], [1], [1], [1]], TURNED, AFFINE * [1, 1, 2.5, 1]])
def test_two_affines_that_contradict_each_other_are_refused(folder, qform):
    coded(folder.images / "a.nii.gz", voxels(0), AFFINE, qform)
    coded(folder.masks / "a.nii.gz", organ(), AFFINE, qform)
    [(name, why)] = folder.prepare(size=16).skipped
    assert (name, why.partition(":")[0]) == (
        "a.nii.gz",
        "a.nii.gz says in two ways how its voxels lie in the patient",
    )


@pytest.mark.parametrize(("sform", "qform"), [(TILTED, AFFINE), (AFFINE, None), (None, AFFINE)])
def test_affines_that_are_one_or_differ_a_little_are_taken(folder, sform, qform):
    coded(folder.images / "a.nii.gz", voxels(0), sform, qform)
    coded(folder.masks / "a.nii.gz", organ(), sform, qform)
    summary = folder.prepare(size=16)
    assert summary.skipped == ()
    assert not any("how its axes lie" in note for note in summary.notes)


@pytest.mark.parametrize(("degrees", "scale", "code"), [((44, 46), 1.0, 1), ((0, 10), 1.5, 4)])
def test_a_short_axis_and_a_way_into_an_atlas_are_no_contradiction(folder, degrees, scale, code):
    """Two turns on either side of 45 degrees name other axes and are nearly one; an atlas is larger."""
    forms = []
    for angle, factor in zip(np.radians(degrees), (1.0, scale), strict=True):
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        forms.append(np.diag([factor, factor, factor, 1]) @ turn @ AFFINE)
    for path, array in ((folder.images, voxels(0)), (folder.masks, organ())):
        coded(path / "a.nii.gz", array, forms[1], forms[0], sform_code=code)
    assert folder.prepare(size=16).skipped == ()


def test_volumes_that_do_not_say_how_they_lie_are_told_with_their_number(folder):
    coded(folder.images / "a.nii.gz", voxels(0), None, None)
    coded(folder.masks / "a.nii.gz", organ(), None, None)
    assert any(
        note.startswith("1 volume does not say how its axes") for note in folder.prepare(size=16).notes
    )


@pytest.mark.parametrize(("values", "window"), [((-300, 400), (1000, 2000)), ((0, 1), (-160, 240))])
def test_a_volume_of_which_the_window_makes_one_grey_is_refused(folder, values, window):
    image = np.where(voxels(0) > 0, *reversed(values)).astype(np.float32)
    save(folder.images / "a.nii.gz", image)
    low, high = values
    said = f"a.nii.gz holds values from {low} to {high}, of which the window from {window[0]} to {window[1]}"
    if values == (-300, 400):
        with pytest.raises(DataError, match=said):
            folder.prepare(size=16, window=window)
    else:
        assert [why.partition(" makes")[0] for _, why in folder.prepare(size=16, window=window).skipped] == [
            said
        ]
