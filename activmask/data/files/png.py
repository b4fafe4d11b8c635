"""Encode images as PNG without metadata, so that the same pixels give the same bytes; size any PNG."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

COMPRESSION = 1
"""Of 9; small binary images gain nothing from more, and noise gains nothing from searching for repeats."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = 33
"""Bytes before the second chunk."""
_XMP, _RAW_EXIF = b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"
"""Keywords of the text chunks in which Pillow looks for an orientation."""
_END = b"\0\0\0\0IEND\xaeB`\x82"


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode an image as a PNG file (ISO/IEC 15948): uint8 or uint16 (H, W) grey, uint8 (H, W, 3) as RGB."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png", compress_level=COMPRESSION, compress_type=zlib.Z_RLE)
    return file.getvalue()


def encode_binary_png(inside: np.ndarray) -> bytes:
    """Encode a black and white image, bool (H, W), as an 8-bit grey PNG file of the values 0 and 255.

    Pillow takes several times as long for a small image, most of the time that the synthetic data
    set takes. Without PNG's filters, which help grey pixels alone, little is left to do.
    """
    height, width = inside.shape
    lines = np.zeros((height, 1 + width), np.uint8)  # Each line begins with its filter: 0, none.
    lines[:, 1:] = inside
    deflate = zlib.compressobj(COMPRESSION, strategy=zlib.Z_RLE)
    data = deflate.compress(np.negative(lines).tobytes()) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _END))


def upright_png_size(path: Path) -> tuple[int, int] | None:
    """(height, width) in px of a PNG file; None for other files and where an orientation may be told."""
    with path.open("rb", buffering=0) as file:
        start = file.read(_HEADER)
        if len(start) < _HEADER or not start.startswith(_SIGNATURE + b"\0\0\0\rIHDR") or _may_be_turned(file):
            return None
    width, height = struct.unpack_from(">II", start, 16)
    return (height, width) if height and width else None


def _may_be_turned(file: io.FileIO) -> bool:
    """Whether there is, after the header or the pixels, a chunk that can tell an orientation."""
    place = _HEADER
    while True:
        file.seek(place)
        chunk = file.read(8 + len(_RAW_EXIF))
        if len(chunk) < 8 or chunk[4:8] == b"IEND" or not chunk[4:8].isalpha():
            return False
        if chunk[4:8] == b"eXIf" or chunk[8:].startswith((_XMP, _RAW_EXIF)):
            return True
        place += 12 + int.from_bytes(chunk[:4], "big")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
