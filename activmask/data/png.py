"""Encode grey images as PNG without metadata, so that the same pixels give the same bytes."""

import io
import zlib

import numpy as np
from PIL import Image

COMPRESSION = 1
"""Of 9; small binary images gain nothing from more, and noise gains nothing from searching for repeats."""


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode a grey image, uint8 or uint16 (H, W), as a PNG file (ISO/IEC 15948)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png", compress_level=COMPRESSION, compress_type=zlib.Z_RLE)
    return file.getvalue()
