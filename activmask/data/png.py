"""Encode grey images as PNG without metadata, so that the same pixels give the same bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

COMPRESSION = 1
"""Of 9; small binary images gain nothing from more, and noise gains nothing from searching for repeats."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode a grey image, uint8 or uint16 (H, W), as a PNG file (ISO/IEC 15948)."""
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


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
