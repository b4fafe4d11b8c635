"""Files that are not what was expected are told as what they are, and a mask's fault as the mask's."""

import gzip
import io

import numpy as np
import pytest
from dicom_files import dicom_dataset, gradient, write_dicom
from PIL import Image
from pydicom.uid import MPEG2MPML, BasicTextSRStorage, JPEGLSLossless
from user_folder import cats_and_dogs, grey

from activmask.data.files.dicom import read_dicom
from activmask.data.files.images import read_grey, read_mask
from activmask.ground.errors import DataError


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(grey(7)).save(file, format="png")
    return file.getvalue()


def bare_dicom() -> bytes:
    file = io.BytesIO()
    dataset = dicom_dataset(gradient())
    del dataset.file_meta
    dataset.save_as(file, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return file.getvalue()


FOREIGN = {
    b"": ("an empty file (0 bytes)", "copy or download it again"),
    b"<!DOCTYPE html><html><body>Please log in</body></html>": ("a web page", "download it again"),
    b"\n  <html lang='en'>": ("a web page", "download it again"),
    b"just a note\n": ("a text file", "replace it by the image"),
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0": ("a Git LFS pointer", "git lfs pull"),
    b"%PDF-1.7": ("a PDF document", "export its image as PNG"),
    b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X": ("what macOS keeps beside a file", "leave it out"),
    gzip.compress(png()): ("a file packed with gzip", "unpack it"),
    b"PK\x03\x04....": ("a ZIP archive", "unpack it"),
    b"GIF89a....": ("a GIF image", "convert it to PNG"),
    b"\0\0\0\x18ftypheic....": ("a HEIC image", "convert it to PNG"),
    128 * b"\0" + b"DICM": ("a DICOM file", "export it as a grey PNG of 16 bits"),
    "ÿþ".encode("latin-1") + "a,b".encode("utf-16-le"): ("text in UTF-16", "save it as UTF-8"),
    png()[:4] + b"....": ("one that is damaged in its first bytes", "copy or download it again"),
    bytes(range(200, 256)): ("bytes of no known kind", "replace the file"),
}


@pytest.mark.parametrize(("content", "told"), FOREIGN.items(), ids=[told[0] for told in FOREIGN.values()])
def test_a_file_that_is_no_picture_is_told_as_what_it_is(tmp_path, content, told):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_grey(path)
    said = str(raised.value)
    assert said.startswith(f"{path} is not a PNG, JPEG, TIFF, WebP or BMP image; found {told[0]}")
    assert said.endswith(told[1])


def test_a_dicom_file_without_its_mark_is_told_so(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(bare_dicom())
    with pytest.raises(DataError, match="found a DICOM file that lacks the mark DICM at byte 128"):
        read_grey(path)


def test_a_dicom_file_that_begins_as_a_tiff_image_is_not_called_damaged(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"II*\0" + 124 * b"\0" + b"DICM")
    with pytest.raises(DataError, match="found a DICOM file; export it as a grey PNG"):
        read_grey(path)


def test_a_folder_and_a_link_to_nothing_are_no_missing_files(tmp_path):
    (tmp_path / "a.png").mkdir()
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"a\.png is a folder, expected an image file"):
        read_grey(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"b\.png .*a link that leads nowhere"):
        read_grey(tmp_path / "b.png")


def test_the_photograph_of_a_camera_is_its_first_frame(tmp_path):
    path = tmp_path / "IMG_0001.JPG"
    photograph, preview = (Image.fromarray(grey(value, side=16)) for value in (200, 20))
    photograph.save(path, format="MPO", save_all=True, append_images=[preview])
    with Image.open(path) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    assert np.allclose(read_grey(path), 200 / 255, atol=0.01)


def test_a_stereo_photograph_has_no_first_frame(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    Image.fromarray(grey(9)).save(path, format="MPO", save_all=True, append_images=[Image.fromarray(grey(8))])
    from PIL import MpoImagePlugin

    entries = {0xB002: [{"Attribute": {"MPType": "Multi-Frame Image (Disparity)"}}] * 2, 0xB001: 2}
    adopt = MpoImagePlugin.MpoImageFile.adopt

    def stereo(jpeg, header=None):
        image = adopt(jpeg, header)
        image.mpinfo = entries | {k: v for k, v in image.mpinfo.items() if k != 0xB002}
        return image

    monkeypatch.setattr(MpoImagePlugin.MpoImageFile, "adopt", staticmethod(stereo))
    with pytest.raises(DataError, match="holds 2 frames, expected one"):
        read_grey(path)


@pytest.mark.parametrize("content", [b"", b"text\n", png()[:45]])
def test_the_fault_of_a_mask_is_told_of_the_mask(tmp_path, content):
    folder = cats_and_dogs(tmp_path)
    (folder.masks / "a.png").write_bytes(content)
    [(name, why)] = folder.prepare().skipped
    assert name == "a.png"
    assert why.startswith("the mask a.png ")
    with pytest.raises(DataError, match=r"^the mask .*a\.png "):
        read_mask(folder.masks / "a.png")


def test_a_missing_decoder_is_named_by_its_transfer_syntax(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", gradient())
    from activmask.data.files import dicom

    def undecoded(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax
        raise RuntimeError

    monkeypatch.setattr(dicom, "pixel_array", undecoded)
    monkeypatch.setattr(dicom, "_EXTRA_PLUGIN", "absent")
    syntax = JPEGLSLossless
    with pytest.raises(DataError) as raised:
        read_dicom(path)
    assert "JPEG-LS Lossless Image Compression (transfer syntax 1.2.840.10008.1.2.4.80)" in str(raised.value)
    assert "install activmask[dicom]" in str(raised.value)
    syntax = MPEG2MPML
    with pytest.raises(DataError, match=r"1\.2\.840\.10008\.1\.2\.4\.100\), which cannot be decoded"):
        read_dicom(path)


def test_a_dicom_report_is_told_as_what_it_is(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", gradient(), PixelData=None, SOPClassUID=BasicTextSRStorage)
    with pytest.raises(DataError, match=r"without PixelData \(Basic Text SR Storage\)"):
        read_dicom(path)
