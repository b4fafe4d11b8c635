"""Masks whose background is not 0 are asked about, never guessed."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import typer
from PIL import Image
from tiny_checkpoints import SIDE, tiny_checkpoint, write_image
from typer.testing import CliRunner
from user_folder import Folder

from activmask.data.dataset import load_samples
from activmask.data.files.images import read_mask, read_plain_mask
from activmask.data.files.mask_reading import UnclearMasks, survey_masks
from activmask.data.files.mask_values import MaskReading, parse_values
from activmask.ground.errors import DataError, UsageError
from activmask.saliency.inputs import read_inputs
from cli.prepare_folder import prepare_folder as command

BLOB = np.zeros((12, 12), bool)
BLOB[3:7, 4:9] = True
"""20 of 144 px: 13.9 %."""


def pixels(inside: int, outside: int, kind: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.where(BLOB, inside, outside).astype(kind))


def palette(*colours: tuple[int, int, int]) -> Image.Image:
    """Index 1 inside, 0 outside."""
    image = pixels(1, 0)
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def coloured(inside: tuple[int, ...], outside: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(BLOB[..., None], inside, outside).astype(np.uint8))


def trimap() -> Image.Image:
    values = np.asarray(pixels(1, 2)).copy()
    values[2, 4:9] = 3
    return Image.fromarray(values)


def was_jpeg() -> Image.Image:
    file = io.BytesIO()
    pixels(255, 0).save(file, "JPEG", quality=85)
    return Image.open(io.BytesIO(file.getvalue())).convert("L")


def smooth() -> Image.Image:
    return pixels(255, 0).resize((24, 24), Image.Resampling.BILINEAR).resize((12, 12), Image.Resampling.BOX)


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8))


def folder_of(tmp_path, *masks: Image.Image, suffix: str = ".png") -> Folder:
    """Four images with masks, the last of them repeated."""
    folder = Folder(tmp_path)
    for k in range(4):
        folder.image(f"{k}.png", np.random.default_rng(k).integers(0, 256, (12, 12), dtype=np.uint8))
        masks[min(k, len(masks) - 1)].save(folder.masks / f"{k}{suffix}")
    folder.table("file_name,label", *(f"{k}.png,{k % 2}" for k in range(4)))
    return folder


def stored(folder: Folder) -> np.ndarray:
    return load_samples(folder.written(), range(4)).masks[:, 0].numpy()


UNCLEAR: dict[str, tuple[Callable[[], Image.Image], str, MaskReading]] = {
    "trimap": (trimap, r"2 \(82\.6%\), 1 \(13\.9%\), 3 \(3\.5%\)", MaskReading(values=(1.0,))),
    "two values, no 0": (lambda: pixels(1, 2), r"2 \(86\.1%\), 1 \(13\.9%\)", MaskReading(values=(1.0,))),
    "background 1": (lambda: pixels(255, 1), r"1 \(86\.1%\), 255 \(13\.9%\)", MaskReading(threshold=1)),
    "grey palette": (
        lambda: palette((120, 120, 120), (6, 230, 230)),
        r"palette index 0 \(#787878\) \(86\.1%\), palette index 1 \(#06e6e6\)",
        MaskReading(values=(1.0,)),
    ),
    "palette in no order": (
        lambda: palette((255, 255, 255), (0, 0, 0)),
        "palette index 0 ",
        MaskReading(values=(1.0,)),
    ),
    "red on white": (
        lambda: coloured((255, 0, 0), (255, 255, 255)),
        r"#ffffff \(86\.1%\), #ff0000 \(13\.9%\)",
        MaskReading(values=("#ff0000",)),
    ),
    "black on white, 16 bits": (
        lambda: pixels(1000, 65535, np.uint16),
        r"65535 \(86\.1%\), 1000",
        MaskReading(threshold=1000, invert=True),
    ),
    "was jpeg": (was_jpeg, "more values", MaskReading(threshold=127)),
    "smooth edges": (smooth, "the 4 masks, 0.png for one, hold 0 ", MaskReading(threshold=127)),
    "floats": (lambda: pixels(1, 0.5, np.float32), r"0\.5 \(86\.1%\), 1 ", MaskReading(threshold=0.5)),
}


@pytest.mark.parametrize(("draw", "listed", "reading"), UNCLEAR.values(), ids=list(UNCLEAR))
def test_masks_that_are_not_plainly_two_valued_are_asked_about(tmp_path, draw, listed, reading):
    folder = folder_of(tmp_path, draw(), suffix=".tif" if draw().mode == "F" else ".png")
    with pytest.raises(UnclearMasks, match=f"{listed}.*mask_values, mask_threshold or mask_invert"):
        folder.prepare()
    summary = folder.prepare(mask_reading=reading)
    np.testing.assert_array_equal(stored(folder), [BLOB] * 4)
    card = folder.written().card["mask_reading"]
    assert (tuple(card["values"] or ()), card["threshold"], card["invert"]) == (
        reading.values,
        reading.threshold,
        reading.invert,
    )
    assert card["files"] == summary.masks.files == 4
    assert sum(card["found"].values()) == pytest.approx(1, abs=0.02)


PLAIN: dict[str, list[Image.Image]] = {
    "0 and 255": [pixels(255, 0)],
    "0 and 1, 0 and 255": [pixels(1, 0), pixels(255, 0)],
    "0 and 7": [pixels(7, 0)],
    "16 bits": [pixels(65535, 0, np.uint16), pixels(255, 0)],
    "1 bit": [pixels(255, 0).convert("1")],
    "black and coloured": [coloured((0, 255, 0), (0, 0, 0))],
    "black first in the palette": [palette((0, 0, 0), (128, 0, 0))],
    "all greys in the palette": [pixels(255, 0).convert("P")],
    "opaque": [pixels(255, 0).convert("LA")],
}


@pytest.mark.parametrize("masks", PLAIN.values(), ids=list(PLAIN))
def test_plain_masks_are_read_as_ever(tmp_path, masks):
    folder = folder_of(tmp_path, *masks)
    summary = folder.prepare()
    np.testing.assert_array_equal(stored(folder), [BLOB] * 4)
    assert "above 0 is inside" in summary.masks.sentence()
    folder.prepare(mask_reading=MaskReading(invert=True), overwrite=True)
    np.testing.assert_array_equal(stored(folder), [~BLOB] * 4)


@pytest.mark.parametrize("values", [((255, 0), (1, 0), (7, 0)), ((100, 0), (200, 0)), ((255, 0), (2, 1))])
def test_masks_that_are_plain_alone_but_not_together_are_asked_about(tmp_path, values):
    with pytest.raises(UnclearMasks):
        folder_of(tmp_path, *(pixels(*pair) for pair in values)).prepare()


def test_pictures_given_as_masks_are_called_so(tmp_path):
    folder = folder_of(tmp_path, picture())
    with pytest.raises(UnclearMasks, match="which look like pictures rather than masks"):
        folder.prepare()


def test_full_and_empty_masks_are_counted(tmp_path):
    folder = folder_of(tmp_path, pixels(255, 0), pixels(0, 0), pixels(255, 255))
    summary = folder.prepare()
    assert (summary.masks.full, summary.masks.empty, summary.empty_masks) == (2, 1, 1)
    assert summary.masks.sentence().endswith("2 full and 1 empty")


def test_masks_of_which_all_are_full_are_counted_or_asked_about(tmp_path):
    folder = folder_of(tmp_path, pixels(255, 255))
    assert folder.prepare().masks.sentence().endswith("255 (100.0%); above 0 is inside; 4 full")
    for reading, nothing in ((MaskReading(threshold=9), "outside"), (MaskReading(threshold=300), "inside")):
        with pytest.raises(DataError, match=f"nothing is {nothing} any of the 4 masks"):
            folder.prepare(mask_reading=reading)
    for k in range(4):
        pixels(2, 2).save(folder.masks / f"{k}.png")
    with pytest.raises(UnclearMasks, match=r"the 4 masks hold 2 \(100\.0%\)"):
        folder.prepare(overwrite=True)


def red(outside: tuple[int, ...] = (0, 0, 0)) -> Image.Image:
    return coloured((255, 0, 0), outside)


def striped() -> Image.Image:
    """White inside, and a corner of red."""
    values = np.asarray(coloured((255, 255, 255), (0, 0, 0))).copy()
    values[:2, :2] = 255, 0, 0
    return Image.fromarray(values)


def see_through(of: Image.Image) -> Image.Image:
    """With a transparent colour that no pixel has."""
    of.info["transparency"] = 2
    return of


@pytest.mark.parametrize(
    ("masks", "reading"),
    [
        ((striped(), coloured((255, 255, 255), (0, 0, 0))), MaskReading(values=("#ffffff",))),
        ((striped(), pixels(255, 0)), MaskReading(values=(255.0,))),
        ((red(), palette((0, 0, 0), (255, 0, 0))), MaskReading(values=("#ff0000",))),
        ((red((255, 255, 255)), pixels(0, 255)), MaskReading(values=("#ffffff",), invert=True)),
        (
            (palette((0, 0, 0), (255, 0, 0)), see_through(palette((0, 0, 0), (255, 0, 0), (9, 9, 9)))),
            MaskReading(values=(1.0,)),
        ),
    ],
)
def test_one_value_is_found_however_a_file_stores_it(tmp_path, masks, reading):
    folder = folder_of(tmp_path, *masks)
    folder.prepare(mask_reading=reading)
    assert (stored(folder)[:, BLOB]).all()
    assert stored(folder).mean() < 0.2


def test_numbers_that_mean_indices_here_and_colours_there_are_refused(tmp_path):
    folder = folder_of(tmp_path, palette((0, 0, 0), (255, 0, 0)), red())
    with pytest.raises(DataError, match=r"a palette in 0\.png, but 1\.png holds colours"):
        folder.prepare(mask_reading=MaskReading(values=(1.0,)))


@pytest.mark.parametrize(("inside", "outside"), [(0, -1), (-1, 0)])
def test_a_value_below_0_is_not_plainly_outside(tmp_path, inside, outside):
    folder = folder_of(tmp_path, pixels(inside, outside, np.float32), suffix=".tif")
    with pytest.raises(UnclearMasks):
        folder.prepare()


def test_masks_of_which_all_are_empty_are_none(tmp_path):
    summary = folder_of(tmp_path, pixels(0, 0)).prepare()
    assert (summary.written.masks, summary.masks.empty) == (0, 4)


def test_transparent_masks_are_left_out_by_name(tmp_path):
    transparent = Image.fromarray(
        np.dstack([np.full((12, 12), 255), np.where(BLOB, 255, 0)]).astype(np.uint8)
    )
    folder = folder_of(tmp_path, pixels(255, 0), pixels(255, 0), transparent, pixels(255, 0))
    ((name, reason),) = folder.prepare().skipped
    assert name == "2.png"
    assert "transparent" in reason


def test_jpeg_masks_are_read_where_a_threshold_is_given(tmp_path):
    folder = folder_of(tmp_path, pixels(255, 0), suffix=".jpg")
    with pytest.raises(DataError, match="is not a PNG, TIFF or BMP image"):
        folder.prepare()
    folder.prepare(mask_reading=MaskReading(threshold=127))
    np.testing.assert_array_equal(stored(folder), [BLOB] * 4)


def test_readings_without_sense_or_effect_are_refused(tmp_path):
    folder = folder_of(tmp_path, trimap())
    with pytest.raises(DataError, match="mask_values names 9, which no mask holds"):
        folder.prepare(mask_reading=MaskReading(values=(1.0, 9.0)))
    with pytest.raises(UsageError, match="give one of them"):
        folder.prepare(mask_reading=MaskReading(values=(1.0,), threshold=3))
    with pytest.raises(UsageError, match="no image has a mask"):
        folder.prepare(masks=None, mask_reading=MaskReading(invert=True))
    for text in ("a", "1,", "#12", "#gggggg", "nan"):
        with pytest.raises(UsageError, match="mask_values must be"):
            parse_values(text)
    assert parse_values("1, 3.5,#FF00aa") == (1.0, 3.5, "#ff00aa")


def test_the_command_asks_in_flags_and_says_what_it_found(tmp_path):
    folder = folder_of(tmp_path, trimap())
    app = typer.Typer()
    app.command()(command)
    given = [folder.images, "--masks", folder.masks, "--labels", folder.labels, "--out", folder.out]
    asked = CliRunner().invoke(app, [*map(str, given)])
    assert asked.exit_code == 3
    assert "2 (82.6%)" in asked.stderr
    for flag in ("--mask-values", "--mask-threshold", "--mask-invert"):
        assert flag in asked.stderr
    done = CliRunner().invoke(app, [*map(str, given), "--mask-values", "1,3"])
    assert done.exit_code == 0
    assert "hold 2 (82.6%), 1 (13.9%), 3 (3.5%); 1, 3 is inside" in " ".join(done.stdout.split())


def test_a_mask_alone_is_refused_unless_it_is_plain(tmp_path):
    trimap().save(tmp_path / "t.png")
    pixels(9, 0).save(tmp_path / "p.png")
    with pytest.raises(
        DataError, match=r"t\.png holds 1 \(13\.9%\), 2 \(82\.6%\), 3 \(3\.5%\), but expected"
    ):
        read_plain_mask(tmp_path / "t.png")
    np.testing.assert_array_equal(read_plain_mask(tmp_path / "p.png"), BLOB)
    assert read_mask(tmp_path / "t.png").all()


def test_saliency_and_hand_made_data_sets_do_not_guess(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "run")
    mask = tmp_path / "mask.png"
    trimap().resize((SIDE, SIDE), Image.Resampling.NEAREST).save(mask)
    with pytest.raises(DataError, match=r"the mask .*mask\.png holds 1 "):
        read_inputs(checkpoint, [write_image(tmp_path / "image.png")], mask)
    (tmp_path / "set").mkdir()
    folder = folder_of(tmp_path / "set", pixels(255, 0))
    folder.prepare()
    trimap().save(folder.out / "masks/2.png")
    with pytest.raises(DataError, match=r"masks/2\.png holds 1 "):
        load_samples(folder.written(), range(4))


def test_saliency_refuses_a_mask_of_other_values_than_the_data_sets(tmp_path):
    card = {"values": [1], "threshold": None, "invert": False, "found": {"2": 0.9, "1": 0.1}}
    recipe = {"source": "folder", "mask_reading": {**card, "different_values": 2}}
    checkpoint = tiny_checkpoint(tmp_path / "run", described={"recipe": recipe})
    image = write_image(tmp_path / "image.png")
    halves = np.arange(SIDE)[:, None] < np.full(SIDE, SIDE // 2)
    for name, inside, outside in (("own", 1, 2), ("stored", 255, 0), ("empty", 2, 2)):
        values = np.where(halves, inside, outside).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    for name, any_ in (("own", True), ("empty", False)):
        masks = read_inputs(checkpoint, [image], tmp_path / f"{name}.png").masks
        assert masks is not None
        assert bool(masks.any()) is any_
    with pytest.raises(DataError, match=r"nothing is inside the mask .*stored\.png, which holds 0, 255"):
        read_inputs(checkpoint, [image], tmp_path / "stored.png")


def test_masks_that_cannot_be_read_are_passed_over(tmp_path):
    folder = folder_of(tmp_path, pixels(255, 0))
    (folder.masks / "0.png").write_text("no image")
    assert survey_masks(sorted(folder.masks.iterdir()), MaskReading()).files == 3
    assert survey_masks([], MaskReading()).files == 0


def test_float_masks_that_are_not_finite_are_left_out(tmp_path):
    folder = folder_of(tmp_path, pixels(255, 0))
    (folder.masks / "0.png").unlink()
    Image.fromarray(np.full((12, 12), np.nan, np.float32)).save(folder.masks / "0.tif")
    assert "not finite" in folder.prepare().skipped[0][1]
