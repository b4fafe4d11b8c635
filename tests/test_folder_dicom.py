"""DICOM files of a user's folder, and masks of every kind; no word of a header reaches an output."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT, PATIENT_ID, dicom_dataset, gradient, write_dicom
from pydicom import Dataset
from pydicom.uid import JPEGLosslessSV1, generate_uid
from user_folder import Folder, grey, half

from activmask.data.dataset import load_samples
from activmask.data.files.dicom import read_dicom
from activmask.data.files.images import to_stored
from activmask.ground.errors import DataError

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
BARE = "1.2.840.10008.7"
"""As archives name files: what follows the last dot is no ending."""


def scan(seed: int = 0, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, (side, side)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path) -> Folder:
    made = Folder(tmp_path)
    write_dicom(made.images / "a.dcm", scan(0), WindowCenter=1000, WindowWidth=1500)
    write_dicom(made.images / BARE, scan(1), PhotometricInterpretation="MONOCHROME1", PatientID="other")
    write_dicom(
        made.images / "1.2.840.10008.8", scan(2), RescaleSlope=2, RescaleIntercept=-1000, PatientID=""
    )
    made.mask("a.png", half())
    write_dicom(made.masks / f"{BARE}.dcm", half() // 255)
    made.table("file_name,label,sex", "a.dcm,normal,F", f"{BARE},abnormal,M", "1.2.840.10008.8,normal,F")
    return made


def without_the_patient(place: Path) -> bool:
    """Whether no file below a folder, by its content or name, holds a word of the headers."""
    words = [*PATIENT.encode().split(b"^"), PATIENT_ID.encode(), b"DICM"]
    files = [path for path in place.rglob("*") if path.is_file()]
    return bool(files) and not any(
        word in path.read_bytes() or word.decode() in str(path) for path in files for word in words
    )


def test_dicom_files_are_stored_as_viewers_show_them_in_sixteen_bits(folder):
    summary = folder.prepare()
    dataset = folder.written()
    assert (summary.written.bit_depth, summary.skipped) == (16, ())
    assert dataset.file_names == tuple(f"images/{name}.png" for name in ("a", BARE, "1.2.840.10008.8"))
    samples = load_samples(dataset, range(3))
    for number, name in enumerate(("a.dcm", BARE, "1.2.840.10008.8")):
        expected = to_stored(read_dicom(folder.images / name)) / np.float32(65535)
        np.testing.assert_array_equal(samples.images[number, 0].numpy(), expected)
    np.testing.assert_array_equal(samples.masks[0, 0].numpy(), half() > 0)
    np.testing.assert_array_equal(samples.masks[1, 0].numpy(), half() > 0)
    assert dataset.mask_file_names[2] == ""
    assert dataset.columns == {"sex": ("F", "M", "F")}
    assert dataset.card["formats"] == ["DICOM"]
    [note] = [note for note in summary.notes if note.startswith("3 DICOM files look as in a viewer")]
    assert "1 of them was MONOCHROME1, in which 0 is white, and inverted" in note
    assert without_the_patient(folder.out)


def test_the_leak_check_can_fail(folder):
    assert not without_the_patient(folder.images)


def test_the_positive_class_is_the_one_asked_for(folder):
    assert folder.prepare().classes == {"abnormal": 0, "normal": 1}
    assert folder.prepare(positive="abnormal", overwrite=True).classes == {"normal": 0, "abnormal": 1}
    assert folder.written().labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"NumberOfFrames": 3}, "holds 3 frames, expected one; save each frame as its own file"),
        ({"SamplesPerPixel": 3}, "has 3 samples per pixel"),
        ({"PixelData": None}, "without PixelData"),
        ({"BitsAllocated": 1}, "has 1 bit per pixel, so it is a mask"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "RescaleSlope is 0"),
    ],
)
def test_a_dicom_file_that_is_no_grey_image_is_skipped_by_name(folder, elements, said):
    write_dicom(folder.images / "a.dcm", scan(), **elements)
    with folder.labels.open("a") as table:
        table.write("a2.dcm,normal,F\n")
    write_dicom(folder.images / "a2.dcm", scan(5))
    told = dict(folder.prepare().skipped)
    assert said in told["a.dcm"]
    assert without_the_patient(folder.out)


def test_a_missing_decoder_is_named_by_its_transfer_syntax(folder):
    dataset = dicom_dataset(scan())
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(folder.images / "1.2.840.10008.8", enforce_file_format=True)
    told = dict(folder.prepare().skipped)
    assert "(transfer syntax 1.2.840.10008.1.2.4.70)" in told["1.2.840.10008.8"]


def test_files_that_pydicom_ships_are_stored(tmp_path):
    made = Folder(tmp_path)
    names = ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "image_dfl.dcm")
    refused = ("liver_1frame.dcm", "examples_rgb_color.dcm", "rtdose.dcm", "reportsi.dcm", "MR_truncated.dcm")
    for name in (*names, *refused):
        (made.images / name).write_bytes((SHIPPED / name).read_bytes())
    made.table("file_name,label", *(f"{name},{name[:2]}" for name in (*names, *refused)))
    summary = made.prepare(masks=None, size=32)
    assert {name for name, _ in summary.skipped} == set(refused)
    assert summary.written.images == len(names)
    # The two MR files are of one study.
    subjects = dict(zip(made.written().file_names, made.written().subjects, strict=True))
    assert subjects["images/MR_small_RLE.png"] == subjects["images/MR_small_bigendian.png"] == names[1]
    assert any("DICOM files come from 1 study" in note for note in summary.notes)


def test_a_study_is_of_one_patient_whatever_the_table_says(folder):
    study = generate_uid()
    for name in ("a.dcm", BARE):
        write_dicom(folder.images / name, scan(len(name)), StudyInstanceUID=study)
    summary = folder.prepare()
    assert folder.written().subjects == ("a.dcm", "a.dcm", "1.2.840.10008.8")
    assert any("2 DICOM files come from 1 study" in note for note in summary.notes)
    folder.table("file_name,label,subject", "a.dcm,0,anna", f"{BARE},1,bo")
    with pytest.raises(DataError, match=r"'a\.dcm' and .* are of one DICOM study, .*'anna' and 'bo'") as told:
        folder.prepare(overwrite=True)
    assert study not in str(told.value)
    folder.table("file_name,label,subject", "a.dcm,0,anna", f"{BARE},1,anna")
    assert folder.prepare(overwrite=True).written.images == 2


def test_one_patients_number_under_several_subjects_is_told_without_it(folder):
    for name in ("a.dcm", BARE):
        write_dicom(folder.images / name, scan(len(name)))
    (note,) = [note for note in folder.prepare().notes if "PatientID" in note]
    assert note.startswith(
        "by PatientID, 2 DICOM files of 2 subjects are of 1 patient; if that is so, tell it"
    )
    assert PATIENT_ID not in note


def test_dark_pictures_beside_dicom_files_are_refused(folder):
    folder.image("d.png", scan(4))
    folder.table("file_name,label", "a.dcm,0", "d.png,1")
    with pytest.raises(DataError, match="unequal parts of their ranges"):
        folder.prepare()


@pytest.mark.parametrize(
    ("pixels", "elements", "said"),
    [
        (half() // 255, {"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1, in which 0 is white"),
        (half(4), {}, "the mask a.dcm is of another size than its image"),
        (half(), {"NumberOfFrames": 2}, "holds 2 frames"),
    ],
)
def test_dicom_masks_that_are_none_are_refused(folder, pixels, elements, said):
    (folder.masks / "a.png").unlink()
    write_dicom(folder.masks / "a.dcm", pixels, **elements)
    assert said in dict(folder.prepare().skipped)["a.dcm"]


PLANE = {
    "PixelSpacing": [0.5, 0.5],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "ImagePositionPatient": [0, 0, 40],
    "FrameOfReferenceUID": "1.2.3",
}


def masked_on_planes(folder, mask, image=PLANE):
    (folder.masks / "a.png").unlink()
    write_dicom(folder.images / "a.dcm", scan(0), **image)
    write_dicom(folder.masks / "a.dcm", half() // 255, **{**PLANE, **mask})
    return folder.prepare()


@pytest.mark.parametrize(
    ("mask", "differs"),
    [
        ({"PixelSpacing": [1, 1]}, "PixelSpacing"),
        (
            {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0], "ImagePositionPatient": [3.5, 0, 40]},
            "ImageOrientationPatient and ImagePositionPatient",
        ),
        ({"ImagePositionPatient": [0, 0, 45]}, "ImagePositionPatient"),
    ],
)
def test_a_dicom_mask_that_lies_elsewhere_in_the_patient_than_its_image_is_refused(folder, mask, differs):
    summary = masked_on_planes(folder, mask)
    said = "the mask a.dcm lies elsewhere in the patient than its image: their headers differ in "
    assert [(name, why.split(";")[0]) for name, why in summary.skipped] == [("a.dcm", said + differs)]


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ({"PixelSpacing": [0.5, 0.500001], "ImagePositionPatient": [0, 0, "40.001"]}, PLANE),
        ({"ImagePositionPatient": [0.1, 0, 40]}, PLANE),
        ({"ImagePositionPatient": [0, 0, 45], "FrameOfReferenceUID": "1.2.4"}, PLANE),
        ({"PixelSpacing": "", "ImageOrientationPatient": ""}, PLANE),
        ({"PixelSpacing": [1, 1]}, {}),
    ],
)
def test_headers_that_round_or_do_not_say_hold_no_dicom_mask_back(folder, mask, image):
    assert masked_on_planes(folder, mask, image).written.masks == 2


def test_a_segmentation_of_one_frame_says_its_place_in_sequences(folder):
    def held(attributes):
        measures, orientation = Dataset(), Dataset()
        measures.PixelSpacing, orientation.ImageOrientationPatient = attributes
        shared = Dataset()
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
        return {"SharedFunctionalGroupsSequence": [shared]}

    (folder.masks / "a.png").unlink()
    write_dicom(folder.images / "a.dcm", scan(0), **PLANE)
    for spacing, masks in ((0.5, 2), (1.0, 1)):
        groups = held(([spacing, spacing], PLANE["ImageOrientationPatient"]))
        write_dicom(folder.masks / "a.dcm", half() // 255, **groups)
        assert folder.prepare(overwrite=True).written.masks == masks


@pytest.mark.parametrize(
    "elements", [{"PixelSpacing": [1, 0.5]}, {"PixelAspectRatio": [2, 1]}, {"ImagerPixelSpacing": [0.2, 0.4]}]
)
def test_pixels_that_are_not_square_are_told_with_their_sides(folder, elements):
    assert not any("square" in note for note in folder.prepare().notes)
    write_dicom(folder.images / "a.dcm", scan(0), **elements)
    [told] = [note for note in folder.prepare(overwrite=True).notes if "square" in note]
    assert told.startswith("1 DICOM file has pixels that are not square, with sides up to 1 to 2.00; ")


def test_a_dicom_mask_of_several_values_asks_which_are_inside(folder):
    write_dicom(folder.masks / f"{BARE}.dcm", gradient(8, 8))
    with pytest.raises(DataError, match="expected were 0 and one other value"):
        folder.prepare()
    from activmask.data.files.mask_values import MaskReading

    assert folder.prepare(mask_reading=MaskReading(threshold=100)).written.masks == 2


def test_a_dicom_mask_without_an_ending_is_found_by_its_name(folder):
    (folder.masks / f"{BARE}.dcm").rename(folder.masks / BARE)
    assert folder.prepare().written.masks == 2


def test_files_without_an_ending_whose_names_are_alike_are_refused(folder):
    for name in ("IM1", "IM01"):
        write_dicom(folder.images / name, scan(len(name)))
    folder.table("file_name,label", "IM1,0", "IM01,1")
    with pytest.raises(DataError, match=r"'IM1' \(row 2\) and 'IM01' \(row 3\)"):
        folder.prepare(masks=None)


def test_positive_must_be_one_of_two(folder):
    with pytest.raises(Exception, match=re.escape("one of the labels, 'abnormal' or 'normal'; found 'ill'")):
        folder.prepare(positive="ill")
    folder.image("d.png", grey(9))
    folder.table("file_name,label", "a.dcm,0", f"{BARE},1", "1.2.840.10008.8,2")
    with pytest.raises(Exception, match="positive chooses between two labels, but there are 3"):
        folder.prepare(positive="1")
    folder.table("file_name,label", "a.dcm,0", f"{BARE},1")
    assert folder.prepare(positive="00").classes == {"1": 0, "0": 1}
