import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activmask.data.files.decoding import MAX_PIXELS
from activmask.data.files.images import bit_depth, image_size, read_grey, read_mask
from activmask.ground.errors import DataError

GREY8 = np.array([[0, 51], [102, 255], [1, 2]], np.uint8)
GREY16 = np.array([[0, 13107], [32768, 65535], [1, 257]], np.uint16)


def save(path: Path, pixels: np.ndarray, kind: str = "PNG", **options) -> Path:
    Image.fromarray(pixels).save(path, kind, **options)
    return path


def coloured(*channels: int) -> np.ndarray:
    return np.tile(np.array(channels, np.uint8), (4, 4, 1))


def test_eight_bits_are_divided_by_255(tmp_path):
    for kind in ("PNG", "TIFF"):
        pixels = read_grey(save(tmp_path / "a", GREY8, kind))
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, GREY8.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    "options", [{"kind": "PNG"}, {"kind": "TIFF"}, {"kind": "TIFF", "compression": "tiff_lzw"}]
)
def test_sixteen_bits_are_divided_by_65535(tmp_path, options):
    path = save(tmp_path / "a", GREY16, **options)
    np.testing.assert_array_equal(read_grey(path), GREY16.astype(np.float32) / np.float32(65535))
    assert bit_depth(path) == 16


def test_sixteen_bits_of_either_byte_order(tmp_path):
    path = tmp_path / "a.tif"
    Image.frombytes("I;16B", (2, 3), GREY16.astype(">u2").tobytes()).save(path, "TIFF")
    np.testing.assert_array_equal(read_grey(path), GREY16.astype(np.float32) / np.float32(65535))


@pytest.mark.parametrize("pixels", [GREY8, GREY16])
def test_tiff_that_stores_white_as_zero_is_inverted(tmp_path, pixels):
    plain, inverted = save(tmp_path / "a.tif", pixels, "TIFF"), tmp_path / "b.tif"
    entry = struct.pack("<HHI", 262, 3, 1)
    data = plain.read_bytes()
    assert data.count(entry + b"\x01\x00") == 1
    inverted.write_bytes(data.replace(entry + b"\x01\x00", entry + b"\x00\x00"))
    np.testing.assert_allclose(read_grey(inverted), 1 - read_grey(plain), atol=1e-6)


def test_one_bit_image(tmp_path):
    path = save(tmp_path / "a.png", np.array([[True, False], [False, True]]))
    np.testing.assert_array_equal(read_grey(path), [[1, 0], [0, 1]])
    assert bit_depth(path) == 8


def test_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", np.full((16, 8), 128, np.uint8), "JPEG")
    np.testing.assert_allclose(read_grey(path), 128 / 255, atol=0.02)
    assert image_size(path) == (16, 8)


@pytest.mark.parametrize("comment", [b"", b"as a preview ends: \xff\xd9"])
def test_a_jpeg_whose_end_a_copy_left_as_zeros_is_refused(tmp_path, comment):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", pixels, "JPEG", comment=comment)
    whole = path.read_bytes()
    path.write_bytes(whole + b"appended by a phone")
    read_grey(path)
    path.write_bytes(whole[:-1000] + bytes(1000))
    with pytest.raises(DataError, match="lacks the mark that ends a JPEG image"):
        read_grey(path)


def test_grey_palette_is_grey_and_colour_palette_is_not(tmp_path):
    grey = Image.fromarray(GREY8).convert("P")
    grey.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(
        read_grey(tmp_path / "grey.png"), GREY8.astype(np.float32) / np.float32(255)
    )
    Image.fromarray(coloured(255, 0, 0)).quantize(4).save(tmp_path / "red.png")
    with pytest.raises(DataError, match="colour image"):
        read_grey(tmp_path / "red.png")


def test_equal_channels_are_grey(tmp_path):
    path = save(tmp_path / "a.png", coloured(51, 51, 51))
    np.testing.assert_array_equal(read_grey(path), np.full((4, 4), np.float32(0.2)))


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path):
    opaque = save(tmp_path / "a.png", coloured(51, 51, 51, 255))
    np.testing.assert_allclose(read_grey(opaque), 0.2)
    with pytest.raises(DataError, match=r"b\.png has transparent pixels"):
        read_grey(save(tmp_path / "b.png", coloured(51, 51, 51, 254)))


@pytest.mark.parametrize(("pixels", "key"), [(GREY8, 51), (GREY16, 13107), (coloured(7, 7, 7), (7, 7, 7))])
def test_transparent_colour_key_is_refused_only_if_used(tmp_path, pixels, key):
    with pytest.raises(DataError, match="transparent"):
        read_grey(save(tmp_path / "a.png", pixels, transparency=key))
    unused = (8, 8, 8) if isinstance(key, tuple) else 50
    read_grey(save(tmp_path / "b.png", pixels, transparency=unused))


def test_colour_is_refused_or_becomes_its_luma(tmp_path):
    path = save(tmp_path / "a.png", coloured(255, 0, 0))
    with pytest.raises(DataError, match=r"a\.png is a colour image, expected grey"):
        read_grey(path)
    np.testing.assert_allclose(read_grey(path, colour="grey"), 0.299, atol=1e-6)
    assert read_grey(save(tmp_path / "w.png", coloured(255, 255, 254)), colour="grey").max() <= 1


def test_cmyk_jpeg_counts_as_colour(tmp_path):
    Image.new("CMYK", (8, 8), (0, 200, 200, 0)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="colour"):
        read_grey(tmp_path / "a.jpg")
    assert read_grey(tmp_path / "a.jpg", colour="grey").shape == (8, 8)


def test_colour_of_sixteen_bits_is_refused_instead_of_cut_to_eight(tmp_path):
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png(header, zlib.compress(b"\0" + struct.pack(">HHH", 300, 300, 300))))
    with pytest.raises(DataError, match="several channels of 16 bits"):
        read_grey(tmp_path / "a.png", colour="grey")


def png(header: bytes, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_jpeg_is_read_the_way_up_that_viewers_show_it(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, :8] = 255
    path = save(tmp_path / "a.jpg", pixels, "JPEG", exif=exif, quality=95)
    assert image_size(path) == read_grey(path).shape == (16, 8)
    assert read_grey(path)[:8].min() > 0.9


def test_floats_must_lie_in_0_1(tmp_path):
    good = np.array([[0, 0.25], [0.5, 1]], np.float32)
    path = save(tmp_path / "a.tif", good, "TIFF")
    np.testing.assert_array_equal(read_grey(path), good)
    assert bit_depth(path) == 16
    for bad in (1.5, -0.1, np.nan, np.inf):
        with pytest.raises(DataError, match=r"outside \[0, 1\]"):
            read_grey(save(tmp_path / "b.tif", np.full((2, 2), bad, np.float32), "TIFF"))


def test_integers_of_32_bits_are_refused(tmp_path):
    with pytest.raises(DataError, match="32-bit"):
        read_grey(save(tmp_path / "a.tif", np.full((2, 2), 70000, np.int32), "TIFF"))


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(GREY8), Image.fromarray(GREY8)]
    for kind in ("TIFF", "PNG"):
        frames[0].save(tmp_path / "a", kind, save_all=True, append_images=[Image.fromarray(255 - GREY8)])
        with pytest.raises(DataError, match="holds 2 frames, expected one"):
            read_grey(tmp_path / "a")


@pytest.mark.parametrize("kind", ["GIF", "PPM"])
def test_other_formats_are_refused_whatever_they_are_called(tmp_path, kind):
    path = save(tmp_path / "a.png", GREY8, kind)
    for read in (read_grey, image_size, bit_depth):
        with pytest.raises(DataError, match=r"a\.png is not a PNG, JPEG, TIFF, WebP or BMP image"):
            read(path)


def test_the_suffix_does_not_matter(tmp_path):
    np.testing.assert_array_equal(
        read_grey(save(tmp_path / "a.txt", GREY8)), read_grey(save(tmp_path / "b", GREY8))
    )


@pytest.mark.parametrize("side", [9_000, 60_000, 2**31 - 1])
def test_huge_header_is_refused_before_decoding(tmp_path, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png(header, zlib.compress(b"\0" * 100)))
    for read in (read_grey, read_mask, image_size):
        with pytest.raises(DataError, match=f"claims more than {MAX_PIXELS:,} pixels"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_grey, read_mask, image_size, bit_depth])
def test_what_is_not_a_file_is_a_data_error(tmp_path, read):
    (tmp_path / "loop").symlink_to("loop")
    for path in (
        tmp_path / "none.png",
        tmp_path,
        Path("nul\0.png"),
        tmp_path / ("x" * 300),
        tmp_path / "loop",
    ):
        with pytest.raises(DataError):
            read(path)


def test_mask_is_true_above_zero(tmp_path):
    path = save(tmp_path / "a.png", GREY8)
    assert read_mask(path).dtype == np.bool_
    np.testing.assert_array_equal(read_mask(path), GREY8 > 0)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "b.tif", GREY16, "TIFF")), GREY16 > 0)
    assert read_mask(save(tmp_path / "c.png", coloured(0, 0, 1))).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_mask_of_a_kind_that_blurs_is_refused(tmp_path, kind):
    with pytest.raises(DataError, match="is not a PNG, TIFF or BMP image"):
        read_mask(save(tmp_path / "a", GREY8, kind))


@pytest.mark.parametrize("kind", ["BMP", "WEBP"])
def test_bitmaps_and_lossless_webp_are_the_pixels_they_hold(tmp_path, kind):
    path = tmp_path / "a"
    Image.fromarray(GREY8).save(path, kind, lossless=True)
    np.testing.assert_array_equal(read_grey(path), GREY8 / np.float32(255))
    assert (image_size(path), bit_depth(path)) == (GREY8.shape, 8)
    if kind == "BMP":
        np.testing.assert_array_equal(read_mask(path), GREY8 > 0)


def test_a_webp_that_moves_is_refused(tmp_path):
    frames = [Image.fromarray(coloured(1, 2, 3)), Image.fromarray(coloured(200, 2, 3))]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="holds 2 frames, expected one"):
        read_grey(tmp_path / "a.webp")


def samples_of_every_kind() -> list[bytes]:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (9, 7), dtype=np.uint8)
    kinds = [
        (grey, {"format": "PNG"}),
        (grey.astype(np.uint16) * 257, {"format": "PNG"}),
        (np.stack([grey] * 4, axis=2), {"format": "PNG"}),
        (grey, {"format": "JPEG"}),
        (grey, {"format": "TIFF"}),
        (grey.astype(np.uint16) * 257, {"format": "TIFF", "compression": "tiff_adobe_deflate"}),
        (grey / np.float32(255), {"format": "TIFF"}),
    ]
    files = []
    for pixels, options in kinds:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, **options)
        files.append(file.getvalue())
    return files


FILES = samples_of_every_kind()


def mutated(data: bytes, edits: list[tuple[int, int]], keep: float) -> bytes:
    changed = bytearray(data)
    for place, value in edits:
        changed[place % len(changed)] = value
    return bytes(changed[: round(keep * len(changed))])


@pytest.mark.process
@settings(max_examples=400)
@given(
    which=st.sampled_from(FILES),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_files_are_read_or_are_data_errors(tmp_path_factory, which, edits, keep):
    check_readers(tmp_path_factory.getbasetemp() / "damaged.png", mutated(which, edits, keep))


@settings(max_examples=60)
@given(
    data=st.binary(max_size=200),
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\0", b"\xff\xd8\xff\xe0"]),
)
def test_random_bytes_are_data_errors(tmp_path_factory, data, start):
    check_readers(tmp_path_factory.getbasetemp() / "random.png", start + data)


def check_readers(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for read in (read_grey, read_mask, image_size, bit_depth):
        failure: DataError | None = None
        try:
            result = read(path)
        except DataError as error:
            failure = error
        assert failure is None or str(path) in str(failure)
        if failure is None and read is read_grey:
            assert result.ndim == 2
            assert result.dtype == np.float32
            assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("data", FILES)
def test_every_truncation_is_a_data_error_or_reads(tmp_path, data):
    for length in range(0, len(data), 7):
        check_readers(tmp_path / "cut.png", data[:length])


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
def test_signed_integers_are_never_read_as_unsigned_ones(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-1, 5], [7, 9]], kind), photometric="minisblack")
    with pytest.raises(DataError, match="holds signed or 32-bit integers"):
        read_grey(tmp_path / "a.tif")
