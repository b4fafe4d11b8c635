"""One picture under several names: counted, named, and refused where it lies in two splits."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from dataset_records import records
from PIL import Image
from typer.testing import CliRunner
from user_folder import Folder, grey

from activmask.data.dataset import read_dataset
from activmask.data.duplicates import DuplicateFinder, pixel_digest
from activmask.data.near_images import NEAR_BITS, NEAR_CORRELATION, Looks, looks, near_pairs
from activmask.data.settings import Source
from activmask.data.writer import Record, write_dataset
from activmask.ground.errors import DataError, UsageError
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config
from activmask.training.feed import stream
from activmask.training.feed.equal_images import equal_images, near_images
from activmask.training.feed.sources import split_rows
from activmask.training.feed.stream import open_stored
from cli.prepare_folder import prepare_folder as command

CPU = torch.device("cpu")


def picture(seed: int, side: int = 32) -> np.ndarray:
    """Coarse random structure, as 8 bits."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return np.asarray(Image.open(io.BytesIO(file.getvalue())))


def folder_of(tmp_path, images: list[np.ndarray], *columns: list[str], header: str = "") -> Folder:
    folder = Folder(tmp_path)
    for k, pixels in enumerate(images):
        folder.image(f"{k}.png", pixels)
    rows = (",".join([f"{k}.png", str(k % 2), *cells]) for k, cells in enumerate(zip(*columns, strict=True)))
    folder.table(
        f"file_name,label{header}", *(rows if columns else (f"{k}.png,{k % 2}" for k in range(len(images))))
    )
    return folder


def test_equal_near_and_constant_images_are_counted_and_named(tmp_path):
    images = [picture(0), picture(1), picture(0), as_jpeg(picture(1)), grey(0, 32), grey(0, 32)]
    summary = folder_of(tmp_path, images).prepare(masks=None)
    card = read_dataset(tmp_path / "out").card["duplicates"]
    assert card == summary.duplicates.card()
    assert card["equal"] == [["0", "2"]]
    assert card["near"] == [["1", "3"]]
    assert card["constant"] == ["4", "5"]
    assert (card["equal_across_subjects"], card["equal_across_splits"], card["constant_images"]) == (1, 0, 2)
    assert summary.duplicates.sentences() == [
        "1 group of images of equal pixels under different subjects: 0 = 2",
        "1 pair of images under different subjects that look alike: 1 = 3",
    ]
    assert [note for note in summary.notes if "one value" in note] == [
        "2 images have one value everywhere and show nothing: 4.png, 5.png"
    ]


def test_pictures_of_one_subject_may_be_alike(tmp_path):
    images = [picture(0), picture(0), as_jpeg(picture(0)), picture(1)]
    summary = folder_of(tmp_path, images, ["s", "s", "s", "t"], header=",subject").prepare(masks=None)
    assert summary.duplicates.sentences() == []


def test_equal_pixels_in_two_given_splits_are_refused_unless_allowed(tmp_path):
    images = [picture(0), picture(1), picture(2), picture(0), picture(3), as_jpeg(picture(1))]
    splits = ["train", "train", "valid", "valid", "test", "test"]
    folder = folder_of(tmp_path, images, splits, header=",split")
    with pytest.raises(
        DataError, match=r"1 group of images of equal pixels lie in two splits: 0 \(train\) = 3"
    ):
        folder.prepare(masks=None)
    assert not folder.out.exists()
    summary = folder.prepare(masks=None, allow_duplicates=True)
    assert summary.duplicates.card()["equal_across_splits"] == 1
    assert "1 of them in two splits: 1 (train) = 5 (test)" in summary.duplicates.sentences()[1]


def test_allowing_what_cannot_happen_is_refused(tmp_path):
    with pytest.raises(UsageError, match="gives no splits"):
        folder_of(tmp_path, [picture(0), picture(1)]).prepare(masks=None, allow_duplicates=True)


def test_the_command_names_them(tmp_path):
    folder = folder_of(tmp_path, [picture(0), picture(0)], ["train", "test"], header=",split")
    app = typer.Typer()
    app.command()(command)
    given = [str(folder.images), "--labels", str(folder.labels), "--out", str(folder.out)]
    refused = CliRunner().invoke(app, given)
    assert (refused.exit_code, "0 (train) = 1 (test)" in refused.stderr) == (3, True)
    allowed = CliRunner().invoke(app, [*given, "--allow-duplicates"])
    assert allowed.exit_code == 0
    assert "equal pixels under different subjects: 0 (train) = 1 (test)" in " ".join(allowed.stdout.split())


def data_set(root, twins: tuple[np.ndarray, np.ndarray], **card: object) -> None:
    """Twelve images; number 0 (train) and 2 (valid) are the twins, of two subjects."""
    made = [
        Record(one.name, picture(k), None, one.label, one.subject, "", one.split)
        for k, one in enumerate(records(12))
    ]
    for k, pixels in zip((0, 2), twins, strict=True):
        made[k] = Record(made[k].name, pixels, None, made[k].label, made[k].subject, "", made[k].split)
    write_dataset(root, made, card=card)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("policy", ["given", "subject"])
def test_training_refuses_equal_pixels_in_two_splits(tmp_path, monkeypatch, streamed, policy):
    data_set(tmp_path / "data", (picture(0), picture(0)))
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0 if streamed else 2**31)
    config = make_config(data=str(tmp_path / "data"), split_policy=policy)
    seed = next(s for s in range(50) if policy == "given" or parted(config, s))
    with pytest.raises(DataError, match=r"equal pixels lie in two splits: images/image-000\.png"):
        judged(config, seed)
    allowed = make_config(data=str(tmp_path / "data"), split_policy=policy, duplicates="allow")
    assert "1 group of images of equal pixels" in judged(allowed, seed)


def judged(config: RunConfig, seed: int) -> str:
    stored, origin = open_stored(config.source, config.view, config.objectives, seed, device=CPU)
    return equal_images(config.source, stored, origin.entries)


def parted(config: RunConfig, seed: int) -> bool:
    rows = split_rows(config.source, read_dataset(Path(config.source.data)), seed)
    return not any({0, 2} <= set(chosen.tolist()) for chosen in rows.values())


@pytest.mark.parametrize("streamed", [False, True])
def test_training_takes_constant_and_different_images(tmp_path, monkeypatch, streamed):
    data_set(tmp_path / "data", (grey(0, 32), grey(0, 32)))
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0 if streamed else 2**31)
    config = make_config(data=str(tmp_path / "data"))
    assert judged(config, 0) == ""


@pytest.mark.parametrize("near", [[["image-000", "image-002"]], [["image-000", "image-006"]], [], None])
def test_training_names_pictures_that_look_alike_in_two_splits(tmp_path, near):
    card = {} if near is None else {"duplicates": {"near": near}}
    data_set(tmp_path / "data", (picture(0), picture(2)), **card)
    config = make_config(data=str(tmp_path / "data"))
    _, origin = open_stored(config.source, config.view, config.objectives, 0, device=CPU)
    two_splits = near == [["image-000", "image-002"]]
    told = near_images(config.source, origin.entries)
    assert two_splits == ("look alike, 1 of them in two splits: images/image-000.png (train)" in told)
    assert two_splits or told == ""


def test_a_card_with_other_duplicates_is_refused(tmp_path):
    write_dataset(tmp_path / "data", records(12), card={"duplicates": {"near": [["image-000"]]}})
    with pytest.raises(DataError, match="must name pairs"):
        near_images(Source(data=str(tmp_path / "data")), ())


def test_drawn_data_are_not_searched():
    assert equal_images(Source(data="synthetic"), {}, ()) == ""
    with pytest.raises(UsageError, match="duplicates has no effect"):
        make_config(data="synthetic", duplicates="allow")


def test_digests_tell_pixels_shapes_and_types_apart():
    pixels = picture(0)
    assert (
        pixel_digest(pixels)
        == pixel_digest(np.asfortranarray(pixels))
        != pixel_digest(pixels.reshape(16, 64))
    )
    assert pixel_digest(pixels) != pixel_digest(pixels.astype(np.uint16))
    assert pixel_digest(grey(7)) == b""


def alike(one: Looks, other: Looks) -> bool:
    correlation = np.corrcoef(one.thumb.astype(float), other.thumb.astype(float))[0, 1]
    return np.count_nonzero(one.bits != other.bits) <= NEAR_BITS and correlation >= NEAR_CORRELATION


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_looks_alike(kind):
    scale = 257 if kind is np.uint16 else 1
    one = looks(picture(0).astype(kind) * scale)
    darker = (picture(0) * 0.7 * scale + 5).astype(kind)
    larger = np.asarray(Image.fromarray(picture(0)).resize((48, 48), Image.Resampling.BILINEAR)).astype(kind)
    for other in (darker, larger, as_jpeg(picture(0)).astype(kind)):
        assert alike(one, looks(other))
    assert not any(alike(one, looks(picture(k).astype(kind))) for k in range(1, 20))


def test_near_pairs_are_those_that_comparing_all_finds():
    rng = np.random.default_rng(0)
    seen = [looks(np.clip(picture(k // 3) + rng.normal(0, k % 3 * 12, (32, 32)), 0, 255)) for k in range(90)]
    subjects, digests = rng.integers(0, 60, 90), np.arange(90)
    digests[1] = digests[0]
    expected = [
        (i, j)
        for i in range(90)
        for j in range(i + 1, 90)
        if subjects[i] != subjects[j] and digests[i] != digests[j] and alike(seen[i], seen[j])
    ]
    assert near_pairs(seen, subjects, digests) == expected
    assert 10 < len(expected) < 80


def test_nothing_and_constants_alone():
    finder = DuplicateFinder()
    assert finder.finish().sentences() == []
    finder.add("a", "a", "", grey(1))
    assert (finder.finish().sentences(), finder.result.constant) == ([], ("a",))
