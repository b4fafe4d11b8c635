"""Pictures that are not square: what bars, a cut and stretching make of them and of their masks."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_checkpoints import tiny_checkpoint
from user_folder import Folder, cats_and_dogs

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.recipe import recipe_of
from activmask.data.sources.folder.fitting import FitTally, card_fit, fitted_image, fitted_mask
from activmask.ground.errors import UsageError
from activmask.saliency.inputs import read_inputs


def disc(height: int, width: int, radius: float) -> np.ndarray:
    """A centred disc, bool (H, W)."""
    rows, columns = np.ogrid[:height, :width]
    return np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) <= radius


def extents(inside: np.ndarray) -> tuple[int, int]:
    """Height and width in px of what is True."""
    return int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())


shapes = {"height": st.integers(24, 90), "width": st.integers(24, 90), "size": st.sampled_from([32, 48, 96])}


@given(**shapes, fit=st.sampled_from(["pad", "crop"]), channels=st.sampled_from([0, 3]))
def test_a_circle_stays_a_circle_in_image_and_mask_alike(height, width, size, fit, channels):
    circle = disc(height, width, 0.4 * min(height, width))
    picture = np.repeat(circle[..., None], channels, axis=2) if channels else circle
    image = fitted_image(picture.astype(np.float32), size, fit)
    mask = fitted_mask(circle, size, fit)
    drawn = (image[..., 0] if channels else image) > 0.5
    assert image.shape == ((size, size, 3) if channels else (size, size))
    assert mask.shape == (size, size)
    expected = 0.8 * size * (1 if fit == "crop" else min(height, width) / max(height, width))
    # The disc's own pixels, and rounding to whole ones.
    unit = 1.5 + size / (min(height, width) if fit == "crop" else max(height, width))
    for found in (drawn, mask):
        assert extents(found) == pytest.approx((expected, expected), abs=unit)
    assert (drawn ^ mask).mean() < 0.06


@given(**shapes)
def test_stretching_makes_it_an_ellipse(height, width, size):
    circle = disc(height, width, 0.4 * min(height, width))
    tall, wide = extents(fitted_mask(circle, size, "stretch"))
    least = min(height, width)
    expected = (0.8 * size * least / height, 0.8 * size * least / width)
    assert (tall, wide) == pytest.approx(expected, abs=1.5 + size / least)


@given(**shapes, channels=st.sampled_from([0, 3]))
def test_bars_are_black_outside_every_mask_and_equally_wide(height, width, size, channels):
    shape = (height, width, channels) if channels else (height, width)
    image = fitted_image(np.ones(shape, np.float32), size, "pad")
    mask = fitted_mask(np.ones((height, width), bool), size, "pad")
    np.testing.assert_array_equal((image[..., 0] if channels else image) > 0.999, mask)
    assert image[~mask].max(initial=0) == 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    for places in (rows, columns):
        assert abs(places[0] - (size - 1 - places[-1])) <= 1
    assert max(len(rows), len(columns)) == size


def test_a_picture_of_the_size_keeps_its_pixels():
    image = np.random.default_rng(0).random((32, 20)).astype(np.float32)
    np.testing.assert_array_equal(fitted_image(image, 32, "pad")[:, 6:26], image)
    np.testing.assert_array_equal(fitted_image(image, 20, "crop"), image[6:26])


def test_of_square_pictures_every_fit_makes_the_same():
    image = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    for fit in ("pad", "crop"):
        np.testing.assert_array_equal(fitted_image(image, 12, fit), fitted_image(image, 12, "stretch"))


@pytest.fixture
def folder(tmp_path) -> Folder:
    """One picture of each class twice as wide as high, its mask in the left quarter."""
    made = cats_and_dogs(tmp_path)
    for name, value in (("a.png", 200), ("b.tif", 100)):
        made.image(name, np.full((8, 16), value, np.uint8))
    left = np.zeros((8, 16), np.uint8)
    left[:, 2:6] = 255
    made.mask("a.png", left)
    return made


@pytest.mark.parametrize(
    ("fit", "told"),
    [
        (None, "2 of 4 images are not square: black bars, outside every mask, fill up to 50% of an image"),
        (
            "crop",
            "2 of 4 images are not square: the middle of each was kept, up to 50% of an image cut off; 1 mas",
        ),
        (
            "stretch",
            "2 of 4 images are not square and were stretched by a factor of up to 2.00 (16 x 8 px), so",
        ),
    ],
)
def test_what_was_done_is_said_with_its_number_and_stands_in_the_card(folder, fit, told):
    summary = folder.prepare(size=8, fit=fit)
    assert summary.fitted.startswith(told)
    assert summary.skipped == ()
    card = folder.written().card
    assert (card["fit"], card["not_square"]) == (fit or "pad", 2)
    image = load_samples(folder.written(), [0])
    inside = image.masks[0, 0].numpy()
    assert inside.sum() == {None: 8, "crop": 16, "stretch": 16}[fit]
    assert (image.images[0, 0].numpy()[inside] > 0.7).all()
    assert (image.images[0, 0].numpy() == 0).sum() == (32 if fit is None else 0)


def test_a_region_outside_of_the_middle_is_not_lost_in_silence(folder):
    edge = np.zeros((8, 16), np.uint8)
    edge[:, 15] = 255
    folder.mask("a.png", edge)
    ((name, reason),) = folder.prepare(size=8, fit="crop").skipped
    assert name == "a.png"
    assert reason.endswith("vanishes at 8 px in its middle square; choose a larger size or the fit pad")


def test_a_fit_without_a_size_is_refused_and_squares_need_no_word(folder):
    with pytest.raises(UsageError, match="the fit pad has no effect without a size"):
        folder.prepare(fit="pad")
    folder.table("file_name,label", "sub/a.jpg,dog", "c.png,cat")
    summary = folder.prepare(size=4)
    assert summary.fitted == ""
    assert folder.written().card["fit"] == "pad"
    assert "not_square" not in folder.written().card


def test_a_shape_that_tells_the_class_is_named_with_its_auc():
    tally = FitTally(64, "pad")
    for k in range(20):
        tally.add("ct", (512, 512 + k % 3), None)
        tally.add("photograph", (480, 640 + k % 3), None)
    assert tally.leak().startswith(
        "the originals' shape tells class 'ct' with an AUC of 0.00 (by chance 0.5 ± 0.18)"
    )
    assert FitTally(64, "crop", tally.shapes, tally.labels).leak() == ""
    alike = FitTally(64, "pad")
    for k in range(20):
        alike.add("ab"[k % 2], (480, 640), None)
    assert alike.leak() == ""


def test_an_original_is_fitted_as_its_data_set_was(folder, tmp_path):
    for fit in ("pad", "crop", "stretch"):
        folder.prepare(size=28, fit=fit, overwrite=True)
        recipe = recipe_of(folder.written())
        network = tiny_checkpoint(tmp_path / fit, described={"recipe": recipe})
        inputs = read_inputs(network, [folder.images / "a.png"])
        assert (inputs.images[0] == load_samples(folder.written(), [0]).images[0]).all()


def test_a_data_set_of_an_earlier_version_was_stretched(folder, tmp_path):
    folder.prepare(size=28, fit="stretch")
    path = folder.out / "card.json"
    card = {name: value for name, value in json.loads(path.read_text()).items() if name != "fit"}
    path.write_text(json.dumps(card))
    assert card_fit(card) == "stretch"
    network = tiny_checkpoint(tmp_path, described={"recipe": recipe_of(read_dataset(folder.out))})
    inputs = read_inputs(network, [folder.images / "a.png"])
    assert (inputs.images[0] == load_samples(folder.written(), [0]).images[0]).all()
