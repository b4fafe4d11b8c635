import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from activmask.data.files.png import encode_binary_png, encode_png

GREY8 = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)
GREY16 = np.random.default_rng(1).integers(0, 65536, (7, 5), dtype=np.uint16)


@pytest.mark.parametrize("pixels", [GREY8, GREY16, np.zeros((1, 1), np.uint8), GREY16[:, ::-1].T])
def test_our_encoder_agrees_with_pillow(tmp_path, pixels):
    decoded = np.asarray(Image.open(io.BytesIO(encode_png(pixels))))
    np.testing.assert_array_equal(decoded, pixels)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.03, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_black_and_white_files_hold_0_and_255_and_are_sound_in_every_byte(height, width, share, seed):
    inside = np.random.default_rng(seed).binomial(1, share, (width, height)).T.astype(bool)
    data = encode_binary_png(inside)
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (width, height))
        np.testing.assert_array_equal(np.asarray(picture), np.where(inside, 255, 0))
    assert encode_binary_png(inside.copy()) == data


def test_the_checksums_of_black_and_white_files_are_those_of_their_chunks():
    rest = encode_binary_png(np.eye(28, dtype=bool))[8:]
    kinds = []
    while rest:
        end = 8 + int.from_bytes(rest[:4], "big")
        assert int.from_bytes(rest[end : end + 4], "big") == zlib.crc32(rest[4:end])
        kinds.append(rest[4:8])
        rest = rest[end + 4 :]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_black_and_white_files_are_no_larger_than_pillows():
    rows, columns = np.mgrid[:200, :200]
    for inside in (np.eye(28, dtype=bool), (rows - 90) ** 2 + (columns - 80) ** 2 < 2500):
        assert len(encode_binary_png(inside)) <= len(encode_png(inside.astype(np.uint8) * np.uint8(255)))
