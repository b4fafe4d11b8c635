"""prepare_xray: two collections in their released forms, to a data set."""

import os
import struct
import sys
import zlib
from collections import Counter

import numpy as np
import pytest
from dataset_records import contents
from dicom_files import PATIENT, PATIENT_ID
from held_processes import held, last_words
from PIL import Image
from xray_files import SECRET, Collections, png, xray

from activmask.data.dataset import read_dataset
from activmask.data.files.intensities import card_intensity
from activmask.data.files.mask_reading import UnclearMasks
from activmask.data.files.mask_values import MaskReading
from activmask.data.sources.xray.cache import KEY_BYTES, Made, cache_beside, continued, finished_images
from activmask.data.sources.xray.making import image_name
from activmask.data.sources.xray.pixels import read_intensities, read_xray_mask, resized
from activmask.data.sources.xray.prepare import Sources, eligible_xrays, prepare_xray
from activmask.data.sources.xray.sampling import sample
from activmask.ground.claims import InUse, claimed
from activmask.ground.errors import DataError, UsageError


def read_xray(path, size, intensity="image"):
    return resized(read_intensities(path, intensity=intensity), size)


def prepared(made: Collections, **options):
    return prepare_xray(made.sources, made.root / "out", **{"size": 16, **options})


def test_equal_cells_of_both_sites_with_their_pixels(tmp_path):
    made = Collections(tmp_path)
    summary = prepared(made)
    assert set(summary.cells.values()) == {4}
    dataset = read_dataset(tmp_path / "out")
    assert (len(dataset), dataset.height, set(dataset.sites)) == (16, 16, {"nih", "padchest"})
    assert not any(dataset.mask_file_names)
    assert all(
        subject.startswith(site) for subject, site in zip(dataset.subjects, dataset.sites, strict=True)
    )
    stored = np.asarray(Image.open(tmp_path / "out/images/nih-00000001_000.png"))
    assert stored == pytest.approx(read_xray(made.image("00000001_000.png"), 16) * 65535, abs=0.5)
    assert dataset.card["labels"] == {"nih": "Emphysema", "padchest": "emphysema"}
    with Image.open(tmp_path / "out/preview.png") as preview:
        assert preview.width > 300


def test_where_a_cell_runs_out_the_reason_is_named(tmp_path):
    made = Collections(tmp_path)
    for path in made.padchest.rglob("*.png"):
        png(path, xray(1, 255))
    with pytest.raises(
        DataError, match=r"only 0 of its 4 can be used.* 16 bits that padchest was released with"
    ):
        prepared(made, intensity="released")


@pytest.mark.process
def test_per_cell_and_the_number_of_workers_decide_as_they_should(tmp_path):
    made = Collections(tmp_path)
    assert prepared(made, per_cell=2).written.images == 8
    one = contents(tmp_path / "out")
    prepared(made, per_cell=2, workers=2, overwrite=True)
    assert contents(tmp_path / "out") == one
    with pytest.raises(DataError, match="only 4 are eligible"):
        prepared(made, per_cell=5, overwrite=True)
    assert not list(tmp_path.glob(".out*"))


def test_one_collection_alone_flat_folders_and_resized_copies(tmp_path):
    made = Collections(tmp_path)
    flat = tmp_path / "flat"
    for path in made.nih.rglob("*.png"):
        png(flat / path.name, np.asarray(Image.open(path).resize((20, 20))))
    sources = Sources(nih=flat, nih_table=made.nih_table)
    assert prepare_xray(sources, tmp_path / "out", size=16).written.images == 8


def broken(path, kind):
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "missing":
        path.unlink()
    elif kind == "huge":
        header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        )
    else:
        path.write_bytes(b"\0" * 128 + b"DICM" + b"nonsense")


@pytest.mark.parametrize("kind", ["truncated", "missing", "huge", "no dicom"])
def test_a_broken_image_is_skipped_and_named(kind, tmp_path):
    made = Collections(tmp_path)
    broken(made.image("00000003_000.png"), kind)
    png(made.nih / "images_001/images/._00000001_000.png", xray(0, 255)).write_bytes(b"\0\5\x16\7 Mac OS X")
    summary = prepared(made)
    ((name, why),) = summary.skipped
    assert name == "00000003_000.png"
    assert str(tmp_path) not in why
    assert set(summary.cells.values()) == {3}
    assert b"00000003_000.png" in (tmp_path / "out/skipped.csv").read_bytes()


def cells_of(folder):
    dataset = read_dataset(folder)
    return Counter(zip(dataset.sites, dataset.labels.tolist(), strict=True)), dataset


@pytest.mark.process
def test_a_broken_drawn_image_gives_way_to_the_next_of_its_order(tmp_path):
    made = Collections(tmp_path, n=5)
    plan = sample(eligible_xrays(made.sources).candidates, 2)
    gone = [
        next(image for image in plan if (image.site, image.label) == cell)
        for cell in (("nih", 1), ("padchest", 0))
    ]
    made.image(gone[0].file_name).write_bytes(b"no image")
    png(made.image(gone[1].file_name), np.zeros((40, 40), np.uint16))
    summary = prepared(made, per_cell=2, workers=2)
    assert {name for name, _ in summary.skipped} == {image.file_name for image in gone}
    assert dict(summary.skipped)[gone[1].file_name] == "it has one value everywhere, so it shows nothing"
    assert (summary.planned, summary.replaced) == (2, 2)
    counts, dataset = cells_of(tmp_path / "out")
    assert set(counts.values()) == {2}
    assert len(counts) == 4
    assert len(set(dataset.subjects)) == 8
    assert (dataset.card["per_cell"], dataset.card["replaced"]) == (2, 2)
    assert dataset.card["cells"] == {site: {"healthy": 2, "emphysema": 2} for site in ("nih", "padchest")}
    kept = {image_name(image) for image in plan if image not in gone}
    assert kept < {path.stem for path in (tmp_path / "out/images").iterdir()}


def test_cells_stay_equal_where_one_runs_out_and_a_wanted_number_is_refused(tmp_path):
    made = Collections(tmp_path, n=3)
    made.image("00000001_000.png").write_bytes(b"no image")
    summary = prepared(made)
    assert (summary.planned, set(summary.cells.values())) == (3, {2})
    assert read_dataset(tmp_path / "out").card["per_cell"] == 2
    with pytest.raises(DataError, match="3 images with the finding are wanted from nih, but only 2 of its 3"):
        prepared(made, per_cell=3, overwrite=True)
    for path in made.padchest.rglob("*.png"):
        png(path, np.zeros((40, 40), np.uint16))
    with pytest.raises(DataError, match="wanted from padchest, but only 0 of its 3 can be used"):
        prepared(made, overwrite=True)


def test_an_interruption_among_replacements_changes_no_byte(tmp_path, monkeypatch):
    import activmask.data.sources.xray.making as module

    made = Collections(tmp_path, n=5)
    plan = sample(eligible_xrays(made.sources).candidates, 3)
    for image in plan[::4]:
        made.image(image.file_name).write_bytes(b"no image")
    prepared(made, per_cell=3)
    whole, real = contents(tmp_path / "out"), module.read_intensities
    for stop in (2, 7, 13):
        read = []

        def stops(path, *, read=read, stop=stop, **how):
            if len(read) == stop:
                raise KeyboardInterrupt
            read.append(path)
            return real(path, **how)

        monkeypatch.setattr(module, "read_intensities", stops)
        with pytest.raises(KeyboardInterrupt):
            prepared(made, per_cell=3, overwrite=True)
        monkeypatch.setattr(module, "read_intensities", real)
        prepared(made, per_cell=3, overwrite=True)
        assert contents(tmp_path / "out") == whole
    assert not list(tmp_path.glob(".out*"))


def test_a_file_mended_after_an_interruption_is_read_anew(tmp_path, monkeypatch):
    import activmask.data.sources.xray.making as module

    made = Collections(tmp_path, n=5)
    prepared(made, per_cell=3)
    whole, real = contents(tmp_path / "out"), module.read_intensities
    first = sample(eligible_xrays(made.sources).candidates, 3)[3]
    sound = made.image(first.file_name).read_bytes()
    made.image(first.file_name).write_bytes(b"no image")
    read = []

    def stops(path, **how):
        if len(read) == 9:
            raise KeyboardInterrupt
        read.append(path)
        return real(path, **how)

    monkeypatch.setattr(module, "read_intensities", stops)
    with pytest.raises(KeyboardInterrupt):
        prepared(made, per_cell=3, overwrite=True)
    monkeypatch.setattr(module, "read_intensities", real)
    made.image(first.file_name).write_bytes(sound)
    prepared(made, per_cell=3, overwrite=True)
    assert contents(tmp_path / "out") == whole


def test_intensities_treat_both_sites_alike_or_as_released(tmp_path):
    made = Collections(tmp_path)
    summary = prepared(made)
    dataset = read_dataset(tmp_path / "out")
    assert dataset.card["intensity"] == "image"
    assert "own minimum" in dataset.card["intensities"]
    means = [summary.brightness[cell] for cell in sorted(summary.brightness)]
    assert max(means) - min(means) < 0.05
    assert dataset.card["brightness"]["nih"]["emphysema"] == summary.brightness["nih", 1]
    dim = made.image("00000001_000.png")
    png(dim, np.asarray(Image.open(dim)) // 2)
    summary = prepared(made, overwrite=True)
    stored = np.asarray(Image.open(tmp_path / "out/images/nih-00000001_000.png")) / 65535
    assert stored == pytest.approx(read_xray(dim, 16), abs=1e-4)
    assert stored.max() > 0.7
    summary = prepared(made, intensity="released", overwrite=True)
    assert read_dataset(tmp_path / "out").card["intensity"] == "released"
    deep = np.asarray(Image.open(made.image("216840_scan.png"))) / np.float32(65535)
    stored = np.asarray(Image.open(tmp_path / "out/images/padchest-216840_scan.png")) / 65535
    assert stored == pytest.approx(resized(deep, 16), abs=1e-4)
    assert summary.brightness["padchest", 0] < 0.06
    assert summary.brightness["nih", 0] > 0.2
    with pytest.raises(UsageError, match="no intensity 'own'"):
        prepared(made, intensity="own", overwrite=True)


def test_released_intensities_want_the_released_depths(tmp_path):
    made = Collections(tmp_path)
    png(made.image("216840_scan.png"), xray(1, 255))
    png(made.image("00000001_000.png"), xray(1, 4095, kind=np.uint16))
    made.as_dicom("216842_scan.png")
    why = dict(prepared(made, intensity="released").skipped)
    assert "has not the 16 bits that padchest was released with" in why["216840_scan.png"]
    assert "has not the 8 bits that nih was released with" in why["00000001_000.png"]
    assert "is a DICOM file, which has no range but its own" in why["216842_scan.png"]
    assert not prepared(made, overwrite=True).skipped


def test_older_data_sets_keep_the_range_they_were_made_with(tmp_path):
    assert card_intensity({"source": "xray"}) == "mixed"
    assert card_intensity({"source": "folder"}) == 65_535
    assert card_intensity({"source": "xray", "intensity": "released"}) == "released"
    with pytest.raises(DataError, match="found 'loud'"):
        card_intensity({"intensity": "loud"})
    grey, deep = xray(3, 200), xray(3, 4095, kind=np.uint16)
    mixed = [read_intensities(png(tmp_path / "x.png", pixels), intensity="mixed") for pixels in (grey, deep)]
    np.testing.assert_allclose(mixed[0], grey / 255, atol=1e-6)
    np.testing.assert_allclose(mixed[1], (deep - deep.min()) / np.ptp(deep), atol=1e-6)
    path = png(tmp_path / "y.png", deep)
    np.testing.assert_allclose(read_intensities(path, intensity=4095), deep / 4095, atol=1e-6)
    with pytest.raises(DataError, match=r"y\.png holds values up to \d+, but the range given ends at 1023"):
        read_intensities(path, intensity=1023)


def test_two_files_of_an_image_are_told_by_their_endings(tmp_path):
    made = Collections(tmp_path)
    Image.fromarray(xray(1, 255)).save(made.nih / "images_001/images/00000001_000.jpg")
    said = "00000001_000.jpg and 00000001_000.png lie in one folder; keep one"
    assert prepared(made).skipped == (("00000001_000.png", said),)


def test_an_image_in_two_folders_is_told_apart_by_the_table_or_skipped(tmp_path):
    made = Collections(tmp_path)
    png(made.padchest / "elsewhere/216840_scan.png", xray(1, 4095, kind=np.uint16))
    png(made.nih / "images_009/images/00000001_000.png", xray(1, 255))
    assert prepared(made).skipped == (("00000001_000.png", "00000001_000.png lies in 2 folders; keep one"),)


def test_a_link_to_a_folder_of_images_makes_no_second_image(tmp_path):
    made = Collections(tmp_path)
    (made.nih / "all").symlink_to(made.nih, target_is_directory=True)
    (made.nih / "again").symlink_to(next(path for path in made.nih.iterdir() if path.is_dir()))
    assert prepared(made).skipped == ()


def test_dicom_colour_oddities_and_16_bits(tmp_path):
    grey = xray(3, 255)
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    plain = read_xray(png(tmp_path / "grey.png", grey), 16)
    assert np.array_equal(read_xray(png(tmp_path / "rgba.png", rgba), 16), plain)
    deep = read_xray(png(tmp_path / "deep.png", grey.astype(np.uint16) * 8), 16)
    stretched = (grey - float(grey.min())) / (float(grey.max()) - float(grey.min()))
    assert read_xray(png(tmp_path / "s.png", (stretched * 60000).astype(np.uint16)), 16) == pytest.approx(
        deep, abs=1e-4
    )
    assert read_xray(png(tmp_path / "s.png", grey), 16) == pytest.approx(deep, abs=1e-4)
    made = Collections(tmp_path)
    made.as_dicom("216840_scan.png", PhotometricInterpretation="MONOCHROME1")
    assert prepared(made).cells["padchest", 1] == 4


def test_resizing_keeps_means_and_crops_to_the_middle(tmp_path):
    image = np.zeros((32, 64), np.uint8)
    image[:, 16:48] = 100
    assert read_xray(png(tmp_path / "wide.png", image), 8, "released") == pytest.approx(
        np.full((8, 8), 100 / 255), abs=1e-6
    )


@pytest.mark.parametrize(("side", "size"), [(40, 16), (1024, 128), (331, 128), (20, 33), (16, 16)])
def test_resizing_is_that_of_pillow(side, size):
    pixels = xray(0, 1, side, np.float32)
    expected = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    assert resized(pixels, size) == pytest.approx(np.asarray(expected), abs=1e-5)


def test_masks_of_files_are_cropped_and_resized_like_their_images(tmp_path):
    made = Collections(tmp_path)
    mask = np.zeros((40, 40), np.uint8)
    mask[:20] = 1
    png(tmp_path / "masks/a/00000001_000.png", mask)
    assert prepared(made, masks=tmp_path / "masks").written.masks == 1
    stored = np.asarray(Image.open(tmp_path / "out/masks/nih-00000001_000.png")) > 0
    assert stored[:8].all()
    assert not stored[8:].any()
    dicom = made.as_dicom("216840_scan.png")
    png(tmp_path / "masks/b" / f"{dicom.stem}.png", mask)
    assert prepared(made, masks=tmp_path / "masks", overwrite=True).written.masks == 2
    wide = png(tmp_path / "wide.png", np.pad(mask, ((0, 0), (10, 10))))
    assert np.array_equal(read_xray_mask(wide, (40, 60), 16), stored)
    with pytest.raises(DataError, match="another size"):
        read_xray_mask(wide, (40, 40), 16)


def test_masks_of_files_are_asked_about_like_those_of_a_folder(tmp_path):
    made = Collections(tmp_path)
    values = np.full((40, 40), 2, np.uint8)
    values[:20] = 1
    png(tmp_path / "masks/00000001_000.png", values)
    with pytest.raises(UnclearMasks, match=r"the only mask holds 1 \(50\.0%\), 2 "):
        prepared(made, masks=tmp_path / "masks")
    summary = prepared(made, masks=tmp_path / "masks", mask_reading=MaskReading(values=(1.0,)))
    stored = np.asarray(Image.open(tmp_path / "out/masks/nih-00000001_000.png")) > 0
    assert stored[:8].all()
    assert not stored[8:].any()
    assert summary.masks.card()["values"] == [1.0]
    with pytest.raises(DataError, match="holds 1 "):
        read_xray_mask(tmp_path / "masks/00000001_000.png", (40, 40), 16)


def test_two_masks_of_one_name_leave_their_image_out(tmp_path):
    made = Collections(tmp_path)
    for folder in "bc":
        png(tmp_path / "masks" / folder / "00000002_000.png", xray(0, 255))
    summary = prepared(made, masks=tmp_path / "masks")
    assert summary.skipped == (("00000002_000.png", "00000002_000.png lies in 2 folders; keep one"),)


def test_nothing_of_a_header_reaches_an_output(tmp_path):
    made = Collections(tmp_path)
    made.as_dicom("216840_scan.png")
    made.as_dicom("216842_scan.png", PixelData=None)
    summary = prepared(made)
    everything = b"".join(contents(tmp_path / "out").values()) + repr(summary).encode()
    for word in (SECRET, PATIENT, PATIENT_ID):
        assert word.encode() not in everything


@pytest.mark.process
def test_an_interrupted_run_continues_and_ends_with_the_same_bytes(tmp_path):
    made = Collections(tmp_path, n=30)
    prepared(made)
    whole = contents(tmp_path / "out")
    call = (
        "import sys; from pathlib import Path;"
        "from activmask.data.sources.xray.prepare import Sources, prepare_xray;"
        "r = Path(sys.argv[1]);"
        "prepare_xray(Sources(nih=r/'NIH', padchest=r/'PadChest'), r/'again', size=16)"
    )
    # So late that images of what was finished have left the buffer of the file that keeps them.
    command = [sys.executable, "-c", call, tmp_path]
    with held(command, "open", r"\.png$", times=100, cwd=tmp_path) as process:
        process.kill()
        last_words(process)
    (cache,) = tmp_path.glob(".again*.cache")
    assert cache.stat().st_size
    cache.write_bytes(cache.read_bytes() + b"P half a record")
    assert not (tmp_path / "again").exists()
    prepare_xray(made.sources, tmp_path / "again", size=16)
    assert contents(tmp_path / "again") == whole
    assert not list(tmp_path.glob(".again*.cache"))


def test_images_are_kept_from_other_processes_and_go_with_a_finished_data_set(tmp_path):
    made = Collections(tmp_path)
    other = cache_beside(tmp_path / "out", "made otherwise")
    other.write_bytes(b"images")
    with claimed(tmp_path / "out", "data set"), pytest.raises(InUse, match="is being written by process"):
        prepared(made)
    assert other.exists()
    prepared(made)
    assert not list(tmp_path.glob(".out*"))
    other.write_bytes(b"left by a kill before the end")
    os.utime(other, ns=(0, 0))
    with pytest.raises(DataError, match="exists already"):
        prepared(made)
    assert not list(tmp_path.glob(".out*"))


def test_finished_images_are_not_read_again(tmp_path, monkeypatch):
    import activmask.data.sources.xray.making as module

    made = Collections(tmp_path)
    png(tmp_path / "masks/00000001_000.png", np.full((40, 40), 255, np.uint8))
    prepared(made, masks=tmp_path / "masks")
    whole = contents(tmp_path / "out")
    real, read = module.read_intensities, []

    def stops_at_the_tenth(path, **how):
        if len(read) == 9:
            raise KeyboardInterrupt
        read.append(path)
        return real(path, **how)

    monkeypatch.setattr(module, "read_intensities", stops_at_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        prepared(made, masks=tmp_path / "masks", overwrite=True)
    monkeypatch.setattr(
        module, "read_intensities", lambda path, **how: read.append(path) or real(path, **how)
    )
    prepared(made, masks=tmp_path / "masks", overwrite=True)
    assert len(read) == len(set(read)) == 16
    assert contents(tmp_path / "out") == whole


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    from activmask.data import writer

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_write", full)
    made = Collections(tmp_path)
    with pytest.raises(DataError, match="No space left"):
        prepared(made)
    monkeypatch.setattr("activmask.data.sources.xray.cache._encoded", full)
    with pytest.raises(DataError, match=r"finished images cannot be kept in .*No space left"):
        prepared(made, size=17)
    assert not (tmp_path / "out").exists()


def test_requests_that_make_no_sense(tmp_path):
    with pytest.raises(UsageError, match="neither nih nor padchest"):
        prepare_xray(Sources(), tmp_path / "out")
    with pytest.raises(UsageError, match="size must be"):
        prepared(Collections(tmp_path), size=0)
    with pytest.raises(DataError, match="does not exist"):
        prepare_xray(Sources(nih=tmp_path / "nowhere"), tmp_path / "out")
    png(tmp_path / "other/1.png", xray(0, 255))
    with pytest.raises(DataError, match="none of the 8 eligible images"):
        prepare_xray(
            Sources(nih=tmp_path / "other", nih_table=tmp_path / "NIH/Data_Entry_2017.csv"), tmp_path / "o"
        )


def test_what_was_left_out_is_made_again_in_this_process(tmp_path):
    made = {
        k: Made(None if k == 1 else np.full((2, 2), k, np.uint16), None, "broken" * (k == 1))
        for k in range(4)
    }
    batches, singles = [], []

    def make(k):
        singles.append(k)
        return made[k]

    def make_all(rest):
        batches.append(list(rest))
        return (made[k] for k in rest)

    def key(k):
        return bytes([k]) * KEY_BYTES

    cache = tmp_path / "cache"
    first = continued(cache, range(4), key, make, make_all, 2)
    assert [next(first).reason for _ in range(3)] == ["", "broken", ""]
    first.close()
    again = list(continued(cache, range(4), key, make, make_all, 2))
    assert [one.reason for one in again] == ["", "broken", "", ""]
    assert [int(one.pixels[0, 0]) for one in again if one.pixels is not None] == [0, 2, 3]
    assert (singles, batches) == ([1], [[0, 1, 2, 3], [3]])
    made[1] = Made(np.full((2, 2), 9, np.uint16), None, "")
    assert [one.reason for one in continued(cache, range(4), key, make, make_all, 2)] == [""] * 4
    assert [int(one.pixels[0, 0]) for one in finished_images(cache, [1, 3, 0], 2)] == [9, 3, 0]
    list(continued(cache, [3], key, make, make_all, 2, start=2))
    assert batches[-1] == [3]
    assert [int(one.pixels[0, 0]) for one in finished_images(cache, [0, 1, 2], 2)] == [0, 9, 3]
    assert cache.stat().st_size == 3 * (KEY_BYTES + 13)
