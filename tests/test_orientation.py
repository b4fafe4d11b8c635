"""Pictures that lie on their side in the file are read as viewers show them, whatever the format."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from user_folder import Folder

from activmask.data.dataset import load_samples
from activmask.data.files.images import image_size, read_grey, read_mask

# Where the file's first row and first column are shown (TIFF 6.0, tag 274; EXIF has the same).
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
SHOWN = (np.arange(40 * 56) % 251).astype(np.uint8).reshape(40, 56)
"""Without any symmetry."""


def laid(shown: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels as a file of that orientation stores them."""
    first_row, first_column = SIDES[orientation]
    rows = shown if first_row in {"top", "bottom"} else shown.T
    rows = rows[::-1] if first_row in {"bottom", "right"} else rows
    return np.ascontiguousarray(rows[:, ::-1] if first_column in {"bottom", "right"} else rows)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def pillow_png(path: Path, pixels: np.ndarray, orientation: int) -> None:
    Image.fromarray(pixels).save(path, "PNG", exif=exif(orientation))


def late_png(path: Path, pixels: np.ndarray, orientation: int) -> None:
    """Its orientation stands behind its pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    body = b"eXIf" + exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(file.getvalue()[:-12] + chunk + file.getvalue()[-12:])


def xmp_png(path: Path, pixels: np.ndarray, orientation: int) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    body = b'iTXtXML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="%d"/>' % orientation
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(file.getvalue()[:33] + chunk + file.getvalue()[33:])


def pillow_tiff(compression: str | None):
    def write(path: Path, pixels: np.ndarray, orientation: int) -> None:
        Image.fromarray(pixels).save(path, "TIFF", tiffinfo={274: orientation}, compression=compression)

    return write


def tiff(**options):
    def write(path: Path, pixels: np.ndarray, orientation: int) -> None:
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric="minisblack", extratags=tags, metadata=None, **options)

    return write


WRITERS = {
    "png": pillow_png,
    "png, orientation last": late_png,
    "png, xmp": xmp_png,
    "tiff": pillow_tiff(None),
    "tiff, lzw": pillow_tiff("tiff_lzw"),
    "tiff, deflate": pillow_tiff("tiff_adobe_deflate"),
    "tiff, tiled": tiff(tile=(16, 32)),
    "tiff, one tile": tiff(tile=(64, 64)),
    "tiff, big-endian": tiff(byteorder=">"),
    "tiff, tiled, big-endian": tiff(tile=(16, 16), byteorder=">"),
    "tiff, strips": tiff(rowsperstrip=7),
    "bigtiff": tiff(bigtiff=True),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_all_eight_orientations(tmp_path, write, kind):
    shown = SHOWN.astype(kind) * (257 if kind is np.uint16 else 1)
    inside = np.where(SHOWN > 100, np.iinfo(kind).max, 0).astype(kind)
    for orientation in SIDES:
        image, mask = tmp_path / f"i{orientation}", tmp_path / f"m{orientation}"
        write(image, laid(shown, orientation), orientation)
        write(mask, laid(inside, orientation), orientation)
        np.testing.assert_array_equal(read_grey(image), SHOWN / np.float32(255), str(orientation))
        np.testing.assert_array_equal(read_mask(mask), inside > 0, str(orientation))
        assert image_size(image) == SHOWN.shape


def test_all_eight_orientations_of_jpeg(tmp_path):
    blocks = np.zeros((40, 56), np.uint8)
    blocks[:16, :24] = 250
    for orientation in SIDES:
        path = tmp_path / f"{orientation}.jpg"
        Image.fromarray(laid(blocks, orientation)).save(path, quality=95, exif=exif(orientation))
        assert np.abs(read_grey(path) - blocks / 255).max() < 0.05
        assert image_size(path) == blocks.shape


def test_all_eight_orientations_of_one_bit_tiff(tmp_path):
    inside = SHOWN > 100
    for orientation in SIDES:
        for compression in (None, "group4"):
            path = tmp_path / "a.tif"
            pillow_tiff(compression)(path, laid(inside, orientation), orientation)
            np.testing.assert_array_equal(read_mask(path), inside)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_there_are_not_mean_nothing(tmp_path, orientation):
    for write in (pillow_png, pillow_tiff(None)):
        write(tmp_path / "a", SHOWN, orientation)
        np.testing.assert_array_equal(read_grey(tmp_path / "a"), SHOWN / np.float32(255))
        assert image_size(tmp_path / "a") == SHOWN.shape


def test_image_and_mask_meet_whatever_way_each_of_them_lies(tmp_path):
    folder = Folder(tmp_path)
    for k, (orientation, writer) in enumerate((o, w) for o in (5, 6, 7, 8) for w in ("png", "tiff")):
        WRITERS[writer](folder.images / f"{k}.tif", laid(SHOWN, orientation), orientation)
        other = {5: 6, 6: 7, 7: 8, 8: 1}[orientation]
        inside = np.where(100 + k < SHOWN, 255, 0).astype(np.uint8)
        WRITERS[writer](folder.masks / f"{k}.png", laid(inside, other), other)
    folder.table("file_name,label,subject", *(f"{k}.tif,{k % 2},s{k}" for k in range(8)))
    assert folder.prepare().skipped == ()
    assert (folder.written().height, folder.written().width) == SHOWN.shape
    for k in range(8):
        np.testing.assert_array_equal(read_grey(folder.out / f"images/{k}.png"), SHOWN / np.float32(255))
        np.testing.assert_array_equal(read_mask(folder.out / f"masks/{k}.png"), 100 + k < SHOWN)


@pytest.mark.parametrize("size", [None, 28])
def test_a_photograph_on_its_side_meets_a_mask_drawn_on_what_viewers_show(tmp_path, size):
    folder = Folder(tmp_path)
    shown = np.zeros((64, 64) if size is None else (64, 96), np.uint8)
    shown[8:24, 40:56] = 250
    for name, orientation in (("a", 6), ("b", 1), ("c", 3), ("d", 8)):
        Image.fromarray(laid(shown, orientation)).save(
            folder.images / f"{name}.jpg", quality=95, exif=exif(orientation)
        )
        folder.mask(f"{name}.png", np.where(shown > 125, 255, 0).astype(np.uint8))
    # As a program draws it that takes the pixels as they lie in the file.
    folder.mask("d.png", laid(np.where(shown > 125, 255, 0).astype(np.uint8), 8))
    folder.table("file_name,label", "a.jpg,0", "b.jpg,1", "c.jpg,1", "d.jpg,0")
    summary = folder.prepare(size=size)
    samples = load_samples(folder.written(), range(summary.written.images))
    for image, mask in zip(samples.images[:3, 0], samples.masks[:3, 0], strict=True):
        assert mask.any()
        assert ((image > 0.5) == mask.bool()).float().mean() > 0.99
    (note,) = [note for note in summary.notes if "EXIF" in note]
    if size is None:
        # Of a square picture nothing tells how the mask lies, so the user is asked to look.
        assert "3 pictures with masks (the first is 'a.jpg') were turned upright" in note
    else:
        assert "2 pictures with masks (the first is 'a.jpg') were turned upright" in note
        assert summary.skipped[0][1].endswith(
            "expected 64 x 96 px, found 96 x 64; draw it upright: its program ignored the orientation in the "
            "picture's file (EXIF)"
        )
