"""What a file is that is not what was expected, by its first bytes, and what its owner can do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HEAD = 512
_PREAMBLE = 128
_AGAIN = "download it again"
_TO_PNG = "convert it to PNG"
_UNPACK = "unpack it"

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"\x00\x05\x16\x07",
        "what macOS keeps beside a file (._NAME), no picture",
        "leave it out",
    ),
    (b"\x1f\x8b", "a file packed with gzip", _UNPACK),
    (b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (b"7z\xbc\xaf'\x1c", "a 7z archive", _UNPACK),
    (b"\xfd7zXZ", "a file packed with xz", _UNPACK),
    (b"BZh", "a file packed with bzip2", _UNPACK),
    (b"%PDF", "a PDF document", "export its image as PNG"),
    (b"GIF8", "a GIF image", _TO_PNG),
    (b"BM", "a BMP image", _TO_PNG),
    (b"P5", "a PGM image", _TO_PNG),
    (b"P6", "a PPM image", _TO_PNG),
    (b"\xff\xd8\xff", "a JPEG image", "save masks without loss as PNG, since JPEG blurs their edges"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image", _TO_PNG),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image", _TO_PNG),
    (b"\x89HDF\r\n", "an HDF5 file", "export its image as PNG"),
    (b"\x93NUMPY", "a NumPy array", "export it as PNG"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch it with git lfs pull"),
    (b"\x5c\x01\x00\x00", "a NIfTI volume", "export its slices as PNG"),
    (b"{\\rtf", "a text document", _AGAIN),
)
_MAGIC = {
    "PNG": (b"\x89PNG",),
    "JPEG": (b"\xff\xd8",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "WEBP": (b"RIFF",),
    "BMP": (b"BM",),
}
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
_ISO_IMAGES = {
    b"heic": "a HEIC image",
    b"heix": "a HEIC image",
    b"mif1": "a HEIF image",
    b"avif": "an AVIF image",
}


@dataclass(frozen=True)
class Foreign:
    """A kind of file."""

    what: str
    """To stand after `found`."""
    advice: str


def foreign(path: Path, formats: Sequence[str] = ()) -> Foreign:
    """What a file is that could not be read as what it should be.

    Args:
        path: the file.
        formats: what it should be, as Pillow calls them: a file that begins as one of them is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return Foreign(f"nothing that can be opened ({error.strerror})", "check the file")
    if not head:
        return Foreign("an empty file (0 bytes)", "copy or download it again")
    # A DICOM file may begin as a TIFF image, which reads the same pixels (PS3.10, 7.1).
    if not _is_marked_dicom(head) and any(head.startswith(_MAGIC[name]) for name in formats):
        return Foreign("one that is damaged in its first bytes", "copy or download it again")
    for start, what, advice in _STARTS:
        if head.startswith(start):
            return Foreign(what, advice)
    unknown = Foreign("bytes of no known kind", "replace the file")
    return _by_place(head) or _as_text(head) or unknown


def _by_place(head: bytes) -> Foreign | None:
    if _is_marked_dicom(head):
        return Foreign("a DICOM file", "export it as a grey PNG of 16 bits")
    if _begins_as_dicom(head):
        what = f"a DICOM file that lacks the mark DICM at byte {_PREAMBLE}"
        return Foreign(what, "export it again, as a file with its preamble")
    if head[4:8] == b"ftyp" and head[8:12] in _ISO_IMAGES:
        return Foreign(_ISO_IMAGES[head[8:12]], _TO_PNG)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Foreign("a WebP image", _TO_PNG)
    return None


def _is_marked_dicom(head: bytes) -> bool:
    return head[_PREAMBLE:].startswith(b"DICM")


def _begins_as_dicom(head: bytes) -> bool:
    """Whether a data set of DICOM begins at the first byte: group 2 or 8, and a length that it can have.

    PS3.5, 7.1: a tag of two numbers of 16 bits, then a length of 32 bits, or two capitals and one of 16.
    """
    group, element = (int.from_bytes(head[k : k + 2], "little") for k in (0, 2))
    if len(head) < 8 or group not in {2, 8} or element > 0x0100:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") <= 256


def _as_text(head: bytes) -> Foreign | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Foreign("text in UTF-16", "save it as UTF-8")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_HTML):
        return Foreign("a web page, such as one that asks for a login", _AGAIN)
    if start.startswith((b"<?xml", b"<svg")):
        return Foreign("an XML file" if b"<svg" not in start else "an SVG drawing", _TO_PNG)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return Foreign("a text file", "replace it by the image") if text.isprintable() or "\n" in text else None
