"""Heat maps as others write them: numbers in, the same numbers out, or a sentence."""

import gzip

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from activmask.data.files.heat_maps import map_stem, read_heat_map
from activmask.ground.errors import DataError

TALL = np.random.default_rng(0).random((9, 7))
SQUARE = np.random.default_rng(1).random((8, 8))


def refused(path, **how):
    with pytest.raises(DataError) as caught:
        read_heat_map(path, **how)
    assert str(path) in str(caught.value)
    return str(caught.value)


def nifti(path, array):
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-2.0, -2, 1, 1])), path)
    return path


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int16, np.uint8, np.bool_, ">f4"])
def test_numpy_arrays_of_every_real_kind(tmp_path, kind):
    values = (TALL * 100).astype(kind)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", whatever=values)
    np.savez_compressed(tmp_path / "b.npz", values)
    for name in ("a.npy", "a.npz", "b.npz"):
        found = read_heat_map(tmp_path / name)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, values[None].astype(float))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_are_their_stored_integers_without_gamma(tmp_path, kind, suffix):
    values = np.arange(63).reshape(9, 7).astype(kind) * 4
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(values).save(
        path, **({"gamma": 0.45} if suffix == "png" else {"compression": "tiff_lzw"})
    )
    np.testing.assert_array_equal(read_heat_map(path)[0], values)


@pytest.mark.parametrize("kind", ["f2", "f4", ">f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4"])
@pytest.mark.parametrize("shape", [(9, 7), (3, 9, 7), (9, 7, 3)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiffs_hold_every_number(tmp_path, kind, shape, compression):
    values = (np.random.default_rng(0).normal(size=shape) * 60).astype(kind)
    how = {"byteorder": ">"} if ">" in kind else {}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack", compression=compression, rowsperstrip=2, **how)
    expected = np.moveaxis(values, -1, 0) if shape[-1] == 3 else values.reshape(-1, 9, 7)
    np.testing.assert_array_equal(read_heat_map(path), expected)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_tiffs_of_compressions_that_one_library_lacks_are_read_by_the_other(tmp_path, kind):
    values = (TALL * 200).astype(kind)
    Image.fromarray(values).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_heat_map(tmp_path / "a.tif")[0], values)


def test_tiffs_in_colours_or_white_at_zero_are_refused(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.tif")
    assert "colours are no numbers" in refused(tmp_path / "a.tif")
    Image.fromarray(colours).quantize(8).save(tmp_path / "a.tif")
    assert "colours are no numbers" in refused(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", colours[:, :, 0], photometric="miniswhite")
    assert "shows 0 as white" in refused(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_without_its_last_strips_is_truncated(tmp_path, compression):
    values = np.random.default_rng(0).random((50, 40)).astype(np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, compression=compression, rowsperstrip=4)
    content = path.read_bytes()
    for share in (0.5, 0.8, 0.99):
        path.write_bytes(content[: int(len(content) * share)])
        assert "truncated" in refused(path)


def test_a_grey_picture_in_three_channels_is_grey(tmp_path):
    values = (TALL * 255).astype(np.uint8)
    Image.fromarray(np.repeat(values[:, :, None], 3, axis=2)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_heat_map(tmp_path / "a.png"), values[None])


@pytest.mark.parametrize("shape", [(3, 9, 7), (1, 9, 7), (1, 3, 9, 7), (1, 1, 9, 7)])
def test_channels_come_first(tmp_path, shape):
    values = np.random.default_rng(2).random(shape)
    np.save(tmp_path / "first.npy", values)
    np.testing.assert_array_equal(read_heat_map(tmp_path / "first.npy"), values.reshape(-1, 9, 7))
    np.save(tmp_path / "last.npy", np.moveaxis(values, -3, -1))
    np.testing.assert_array_equal(read_heat_map(tmp_path / "last.npy"), values.reshape(-1, 9, 7))


@pytest.mark.parametrize("shape", [(64,), (20, 9, 7), (2, 3, 9, 7), (3, 3, 3), ()])
def test_what_is_no_map_of_one_image_is_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape))
    assert "write one file an image" in refused(tmp_path / "a.npy")


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("more", [(), (1,), (1, 1)])
def test_nifti_axes_follow_from_an_image_that_is_not_square(tmp_path, ending, more):
    size = TALL.shape
    path = nifti(tmp_path / f"a.{ending}", TALL.reshape(*size, *more))
    np.testing.assert_array_equal(read_heat_map(path, size=size)[0], TALL)
    path = nifti(tmp_path / f"b.{ending}", TALL.T.reshape(*size[::-1], *more))
    np.testing.assert_array_equal(read_heat_map(path, size=size)[0], TALL)


def test_nifti_axes_of_a_square_image_must_be_said(tmp_path):
    path = nifti(tmp_path / "a.nii", SQUARE)
    assert "does not say which of its axes is which, found 8 x 8; give nifti_axes" in refused(
        path, size=(8, 8)
    ).replace(";", ",", 1)
    np.testing.assert_array_equal(read_heat_map(path, size=(8, 8), nifti_axes="rows-first")[0], SQUARE)
    np.testing.assert_array_equal(read_heat_map(path, size=(8, 8), nifti_axes="columns-first")[0], SQUARE.T)


def test_a_nifti_volume_is_no_map(tmp_path):
    assert "9 x 7 x 5" in refused(nifti(tmp_path / "a.nii", np.ones((9, 7, 5))), size=(9, 7))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.nii"])
def test_values_that_are_no_finite_numbers_are_counted(tmp_path, wrong, name):
    values = TALL.astype(np.float32)
    values[0, :2] = wrong
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, values)
    elif name == "a.tif":
        Image.fromarray(values).save(path)
    else:
        nifti(path, values)
    assert "holds 2 values of 63 that are NaN, infinite or beyond" in refused(path, size=(9, 7))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.png", "a.tif", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"\x1f\x8b", b"colours", bytes(400)])
def test_broken_files_are_a_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    sentence = refused(path, size=(9, 7))
    assert "\n" not in sentence
    assert ("empty file (0 bytes)" in sentence) == (content == b"")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.nii", "a.nii.gz", "a.png", "a.tif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_files_that_end_too_soon_are_a_sentence(tmp_path, name, share):
    values, path = np.random.default_rng(0).integers(0, 255, (50, 40), np.uint8), tmp_path / name
    if name == "a.npy":
        np.save(path, values)
    elif name == "a.npz":
        np.savez(path, values)
    elif "nii" in name:
        nifti(path, values)
    else:
        Image.fromarray(values).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, size=(50, 40))


def test_other_kinds_of_values_are_refused_and_nothing_is_unpickled(tmp_path):
    for values in (TALL + 1j, np.full((9, 7), "x"), np.full((9, 7), None, dtype=object)):
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
        refused(tmp_path / "a.npy")
        np.savez(tmp_path / "a.npz", values)
        refused(tmp_path / "a.npz")
    np.save(tmp_path / "empty.npy", np.empty((0, 7)))
    refused(tmp_path / "empty.npy")


def test_a_header_that_claims_terabytes_takes_no_memory(tmp_path):
    for claimed in ((8000, 8000), (10**6, 10**6)):
        with (tmp_path / "a.npy").open("wb") as file:
            told = {"descr": "<f8", "fortran_order": False, "shape": claimed}
            np.lib.format.write_array_header_1_0(file, told)
            file.write(bytes(500))
        refused(tmp_path / "a.npy")
    header = nibabel.Nifti1Header()
    header.set_data_shape((32000, 32000))
    header.set_data_dtype(np.float64)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(2000)))
    assert "claims more than" in refused(tmp_path / "a.nii.gz", size=(32000, 32000))


def test_pictures_in_colours_are_refused_with_the_true_reason(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)).save(tmp_path / "a.png")
    assert "colours are no numbers" in refused(tmp_path / "a.png")
    Image.fromarray((TALL * 255).astype(np.uint8)).save(tmp_path / "a.jpg")
    assert "is a JPEG, which changes numbers" in refused(tmp_path / "a.jpg")


def test_an_archive_of_several_arrays_is_refused_by_their_names(tmp_path):
    np.savez(tmp_path / "a.npz", heat=TALL, mask=TALL)
    assert "holds 2 arrays ('heat', 'mask')" in refused(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.npy", "a"),
        ("b/a.nii.gz", "b/a"),
        ("a.b.PNG", "a.b"),
        ("a.csv", None),
        ("npy", None),
        ("a.nii", "a"),
    ],
)
def test_the_name_without_its_ending(name, stem):
    assert map_stem(name) == stem
