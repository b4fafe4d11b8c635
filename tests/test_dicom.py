import resource
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT, PATIENT_ID, dicom_dataset, gradient, write_dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEGLosslessSV1

from activmask.data.files.dicom import read_dicom
from activmask.data.files.dicom_mark import is_dicom
from activmask.ground.errors import DataError

SHIPPED_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
SHIPPED = sorted(path for path in SHIPPED_FOLDER.iterdir() if path.is_file())


def scaled(values):
    """The last step by hand, in float64."""
    return (values - values.min()) / (values.max() - values.min())


def identity(path: Path) -> list[str]:
    """The words of a file's patient name and ID that are long enough to be recognised."""
    try:
        dataset = pydicom.dcmread(path, force=True, specific_tags=["PatientName", "PatientID"])
        words = f"{dataset.get('PatientName', '')}^{dataset.get('PatientID', '')}".split("^")
    except (InvalidDicomError, OSError, ValueError, AttributeError, NotImplementedError):
        return []
    return [word for word in words if len(word) > 3]


def outcome(path: Path) -> np.ndarray | DataError:
    try:
        return read_dicom(path)
    except DataError as error:
        return error


def check_pixels(pixels: np.ndarray) -> None:
    assert pixels.dtype == np.float32
    assert pixels.ndim == 2
    assert np.isfinite(pixels).all()
    assert 0 <= pixels.min() <= pixels.max() <= 1


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_file_that_pydicom_ships_is_read_or_refused(path, tmp_path, capfd):
    plain = tmp_path / "plain"
    plain.write_bytes(path.read_bytes())
    words = identity(path)
    result = outcome(plain)
    assert capfd.readouterr() == ("", "")
    if isinstance(result, np.ndarray):
        check_pixels(result)
        assert (result.min(), result.max()) == (0, 1)
        return
    sentence = str(result).replace(str(plain), "FILE")
    assert sentence.startswith("FILE")
    assert sentence.count(";") == 1
    assert not [mark for mark in ("\n", ". ") if mark in sentence]
    assert not [word for word in words if word in sentence]
    assert result.__cause__ is None


def test_the_common_kinds_are_among_those_read():
    for name in ("CT_small", "MR_small", "MR_small_RLE", "MR_small_bigendian", "JPEG2000", "image_dfl"):
        assert read_dicom(SHIPPED_FOLDER / f"{name}.dcm").max() == 1
    for name in ("MR_small_RLE", "MR_small_jp2klossless", "MR_small_expb", "MR_small_implicit"):
        np.testing.assert_array_equal(
            read_dicom(SHIPPED_FOLDER / f"{name}.dcm"), read_dicom(SHIPPED_FOLDER / "MR_small.dcm")
        )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_truncated.dcm", "is a broken DICOM file"),
        ("SC_rgb_small_odd.dcm", "has 3 samples per pixel, expected a grey image"),
        ("examples_palette.dcm", "of palette or colour"),
        ("rtdose.dcm", "holds 15 frames, expected one"),
        ("liver_1frame.dcm", "has 1 bit per pixel"),
        ("rtplan.dcm", "is a DICOM file without PixelData"),
        ("no_meta.dcm", "is not a DICOM file"),
    ],
)
def test_what_cannot_be_an_image_is_refused_by_its_reason(name, message):
    with pytest.raises(DataError, match=message):
        read_dicom(SHIPPED_FOLDER / name)


def test_a_missing_decoder_names_the_extra(monkeypatch):
    lossless = SHIPPED_FOLDER / "MR_small_jpeg_ls_lossless.dcm"
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEGLSLossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(DataError, match=r"install activmask\[dicom\]"):
        read_dicom(lossless)


def test_rescale_then_window_by_hand(tmp_path):
    stored = np.array([[0, 100, 200], [300, 400, 500]], dtype=np.int16)
    path = write_dicom(
        tmp_path / "ct",
        stored,
        RescaleSlope=2,
        RescaleIntercept=-300,
        WindowCenter=[40, 0],
        WindowWidth=[400, 2],
    )
    # PS3.3, C.11.2.1.2.1: y = (x - (c - 0.5)) / (w - 1) + 0.5, of the rescaled x.
    rescaled = stored.astype(np.float64) * 2 - 300
    by_hand = np.clip((rescaled - 39.5) / 399 + 0.5, 0, 1)
    np.testing.assert_allclose(read_dicom(path), by_hand, atol=1e-6)
    assert 0 < by_hand[0, 1] < by_hand[0, 2] < 1


def test_the_modality_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], np.array([10, 0, 30, 40], "<u2").tobytes()
    stored = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    path = write_dicom(tmp_path / "lut", stored, ModalityLUTSequence=[table])
    np.testing.assert_allclose(read_dicom(path), [[0.25, 0], [0.75, 1]], atol=1e-7)


def test_monochrome1_is_the_inverse_of_monochrome2(tmp_path):
    window = {"WindowCenter": 500, "WindowWidth": 600}
    dark = write_dicom(tmp_path / "1", gradient(), PhotometricInterpretation="MONOCHROME1", **window)
    bright = write_dicom(tmp_path / "2", gradient(), **window)
    np.testing.assert_allclose(read_dicom(dark), 1 - read_dicom(bright), atol=1e-7)
    assert read_dicom(bright)[0, 0] == 0
    assert read_dicom(dark)[0, 0] == 1


def test_the_range_is_the_images_own(tmp_path):
    stored = gradient() + 1000
    np.testing.assert_allclose(
        read_dicom(write_dicom(tmp_path / "a", stored)), scaled(stored.astype(np.float64)), atol=1e-7
    )
    flat = write_dicom(
        tmp_path / "flat", np.full((3, 4), 7, np.uint16), PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(read_dicom(flat), np.zeros((3, 4), np.float32))


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"PixelData": None}, "without PixelData"),
        ({"NumberOfFrames": 3}, "holds 3 frames, expected one"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "of palette or colour"),
        ({"PhotometricInterpretation": None}, "lacks PhotometricInterpretation"),
        ({"PhotometricInterpretation": ""}, "lacks PhotometricInterpretation"),
        ({"SamplesPerPixel": 3}, "has 3 samples per pixel"),
        ({"Rows": None}, "Rows is not a whole number"),
        ({"Columns": 0}, "claims 6 x 0 pixels"),
        ({"BitsAllocated": 1}, "has 1 bit per pixel"),
        ({"BitsStored": None}, "is a broken DICOM file"),
        ({"RescaleSlope": 1e300, "RescaleIntercept": 1e308}, None),
        ({"RescaleSlope": 1e306, "RescaleIntercept": 0}, "not finite after its rescaling"),
        ({"RescaleSlope": 0, "RescaleIntercept": 7}, "RescaleSlope is 0"),
        ({"RescaleSlope": [1, 2]}, "RescaleSlope is not a number"),
        ({"WindowCenter": 10, "WindowWidth": -5}, "WindowWidth is not at least 1"),
        ({"WindowCenter": 800, "WindowWidth": 0}, "WindowWidth is not at least 1"),
        ({"WindowCenter": 800, "WindowWidth": 0.5}, "WindowWidth is not at least 1"),
        (
            {"WindowCenter": 800, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
            "WindowWidth is not above 0",
        ),
        ({"WindowCenter": [800, 40], "WindowWidth": [0, 400]}, "WindowWidth is not at least 1"),
        ({"WindowCenter": 800}, "has a WindowCenter but no WindowWidth"),
        ({"WindowCenter": 800, "WindowWidth": ""}, "has a WindowCenter but no WindowWidth"),
        ({"WindowCenter": "", "WindowWidth": 400}, "has a WindowWidth but no WindowCenter"),
        ({"WindowCenter": 8, "WindowWidth": 4, "VOILUTFunction": "CUBIC"}, "VOILUTFunction is none of"),
        ({"PixelPaddingValue": [1, 2]}, "PixelPaddingValue is not a whole number"),
    ],
    ids=lambda value: "" if not isinstance(value, dict) else "-".join(value),
)
def test_odd_headers_are_refused_by_name_without_the_patient(tmp_path, elements, message):
    path = write_dicom(tmp_path / "odd.dcm", gradient(), **elements)
    if message is None:
        assert np.isfinite(read_dicom(path)).all()
        return
    with pytest.raises(DataError, match=rf"odd\.dcm.*{message}") as refused:
        read_dicom(path)
    assert PATIENT.split("^")[0] not in str(refused.value)
    assert PATIENT_ID not in str(refused.value)


@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": 1, "RescaleIntercept": ""},
        {"RescaleSlope": 3},
        {"RescaleIntercept": 5},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowWidth": ""},
        {"PhotometricInterpretation": "monochrome2"},
        {"PhotometricInterpretation": "Monochrome2 "},
        {"PixelPaddingValue": ""},
        {"PixelPaddingRangeLimit": 100},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS:UserWarning")
def test_what_a_header_leaves_empty_or_in_small_letters_changes_nothing(tmp_path, elements):
    plain = read_dicom(write_dicom(tmp_path / "plain.dcm", gradient()))
    np.testing.assert_array_equal(
        read_dicom(write_dicom(tmp_path / "odd.dcm", gradient(), **elements)), plain
    )


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS:UserWarning")
def test_small_letters_are_inverted_and_windowed_too(tmp_path):
    window = {"WindowCenter": 500, "WindowWidth": 600}
    small = write_dicom(tmp_path / "1", gradient(), PhotometricInterpretation="monochrome1", **window)
    bright = write_dicom(tmp_path / "2", gradient(), **window)
    np.testing.assert_allclose(read_dicom(small), 1 - read_dicom(bright), atol=1e-7)


def test_a_negative_slope_turns_the_greys_with_and_without_a_window(tmp_path):
    rescale = {"RescaleSlope": -1, "RescaleIntercept": 2000}
    stored = gradient() + 100
    plain = read_dicom(write_dicom(tmp_path / "1", stored, **rescale))
    wide = read_dicom(write_dicom(tmp_path / "2", stored, **rescale, WindowCenter=1000, WindowWidth=4000))
    np.testing.assert_allclose(plain, 1 - scaled(stored.astype(np.float64)), atol=1e-7)
    np.testing.assert_allclose(wide, plain, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("kind", "value", "elements"),
    [
        (np.uint16, 65535, {}),
        (np.uint16, 0, {}),
        (np.uint16, 700, {}),
        (np.int16, -2000, {}),
        (np.int16, -2000, {"RescaleSlope": 2, "RescaleIntercept": -300}),
        (np.int16, 32767, {"WindowCenter": 900, "WindowWidth": 2000}),
    ],
)
def test_padding_is_black_and_stretches_no_range(tmp_path, kind, value, elements, photometric):
    image = (gradient(8, 9) + 500).astype(kind)
    image[image == value] += 1
    elements = {**elements, "PhotometricInterpretation": photometric}
    unpadded = read_dicom(write_dicom(tmp_path / "plain", image[2:], **elements))
    image[:2] = value
    padded = read_dicom(write_dicom(tmp_path / "padded", image, PixelPaddingValue=value, **elements))
    assert (padded[:2] == 0).all()
    np.testing.assert_array_equal(padded[2:], unpadded)
    assert (unpadded.min(), unpadded.max()) == (0, 1) or elements.get("WindowCenter")


def test_a_range_of_padding_in_either_order(tmp_path):
    image = gradient(8, 9) + 500
    unpadded = read_dicom(write_dicom(tmp_path / "plain", image[2:]))
    image[0], image[1] = 60_000, 65_000
    for first, last in ((60_000, 65_535), (65_535, 60_000)):
        limits = {"PixelPaddingValue": first, "PixelPaddingRangeLimit": last}
        padded = read_dicom(write_dicom(tmp_path / "padded", image, **limits))
        np.testing.assert_array_equal(padded, np.concatenate([np.zeros((2, 9)), unpadded]))


def test_padding_that_no_pixel_has_changes_nothing(tmp_path):
    plain = read_dicom(write_dicom(tmp_path / "plain", gradient()))
    for value in (65_535, 5):
        padded = write_dicom(tmp_path / "padded", gradient(), PixelPaddingValue=value)
        np.testing.assert_array_equal(read_dicom(padded), plain)
    # Of 12 stored bits the brightest are no padding because the padding's last 12 bits are alike.
    bright = np.array([[0, 100], [4000, 4095]], np.uint16)
    stored = {"BitsStored": 12, "HighBit": 11}
    with_value = write_dicom(tmp_path / "12", bright, PixelPaddingValue=65_535, **stored)
    np.testing.assert_allclose(read_dicom(with_value), bright / 4095, atol=1e-7)


def test_padding_in_unused_bits_and_of_the_other_sign(tmp_path):
    stored = {"BitsStored": 12, "HighBit": 11}
    above = np.array([[65_535, 65_535], [0, 100], [50, 4095]], np.uint16)
    path = write_dicom(tmp_path / "above", above, PixelPaddingValue=65_535, **stored)
    np.testing.assert_allclose(read_dicom(path), [[0, 0], [0, 100 / 4095], [50 / 4095, 1]], atol=1e-7)
    dataset = dicom_dataset(np.array([[-2000, 0], [50, 100]], np.int16), PixelPaddingValue=63_536)
    dataset["PixelPaddingValue"].VR = "US"
    dataset.save_as(tmp_path / "sign", enforce_file_format=True)
    np.testing.assert_allclose(read_dicom(tmp_path / "sign"), [[0, 0], [0.5, 1]], atol=1e-7)


def test_an_image_of_padding_alone_is_black(tmp_path):
    path = write_dicom(
        tmp_path / "all",
        np.full((3, 4), 9, np.uint16),
        PixelPaddingValue=9,
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_array_equal(read_dicom(path), np.zeros((3, 4), np.float32))


def test_frames_that_are_no_number(tmp_path):
    path = write_dicom(tmp_path / "odd.dcm", gradient(), NumberOfFrames=1234)
    path.write_bytes(path.read_bytes().replace(b"1234", b"Zwir"))
    with pytest.raises(DataError, match=r"NumberOfFrames is not a whole number in its header") as refused:
        read_dicom(path)
    assert "Zwir" not in str(refused.value)


def test_a_header_that_claims_gigabytes_is_refused_before_they_are_taken(tmp_path):
    path = write_dicom(tmp_path / "huge.dcm", gradient(), Rows=60_000, Columns=60_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="claims more than 67,108,864 pixels"):
        read_dicom(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_pixel_data_of_an_unknown_kind(tmp_path):
    dataset = dicom_dataset(gradient())
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8Zwirbelmeier"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "odd.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match=r"odd\.dcm") as refused:
        read_dicom(tmp_path / "odd.dcm")
    assert "Zwirbelmeier" not in str(refused.value)


def test_dicom_is_known_by_its_content(tmp_path):
    assert is_dicom(write_dicom(tmp_path / "no-suffix", gradient()))
    (tmp_path / "short.dcm").write_bytes(b"DICM")
    assert not is_dicom(tmp_path / "short.dcm")
    for path in (tmp_path, tmp_path / "none.dcm"):
        with pytest.raises(DataError, match="cannot be read"):
            is_dicom(path)


@settings(max_examples=150)
@given(where=st.floats(0, 1), change=st.binary(min_size=1, max_size=6), cut=st.booleans())
def test_damage_anywhere_never_shows_the_patient(tmp_path, where, change, cut):
    whole = write_dicom(tmp_path / "whole", gradient(), WindowCenter=300, WindowWidth=500).read_bytes()
    start = int(where * len(whole))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(whole[:start] + change + (b"" if cut else whole[start + len(change) :]))
    result = outcome(damaged)
    if isinstance(result, np.ndarray):
        check_pixels(result)
        return
    assert "damaged" in str(result)
    assert not [word for word in ("wirbel", "Ottokar", "4711") if word in str(result)]
