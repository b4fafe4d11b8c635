"""Images of 12 bits in files of 16 beside others: a shortcut, refused with its numbers."""

import numpy as np
import pytest
import typer
from activmask_cli.prepare_folder import prepare_folder as command
from typer.testing import CliRunner
from user_folder import Folder, grey

from activmask.data.dataset import load_samples
from activmask.data.used_ranges import Kind, UsedRanges, check_ranges
from activmask.ground.errors import DataError, UsageError

EIGHT, TWELVE, FULL = (255, np.uint8), (4095, np.uint16), (65_535, np.uint16)


def noise(seed: int, top: int, kind: type) -> np.ndarray:
    """Noise with its full range in it."""
    pixels = np.random.default_rng(seed).integers(0, top, (8, 8)).astype(kind)
    pixels[0, :2] = 0, top
    return pixels


def cats_and_dogs(root, cats, dogs, n=3) -> Folder:
    made = Folder(root)
    lines = []
    for k, (top, kind) in enumerate([cats] * n + [dogs] * n):
        made.image(f"{k}.png", noise(k, top, kind))
        lines.append(f"{k}.png,{'cat' if k < n else 'dog'}")
    made.table("file_name,label", *lines)
    return made


@pytest.mark.parametrize(
    ("cats", "dogs", "words", "remedy"),
    [
        (TWELVE, EIGHT, "3 images of class 'dog' fill their 8 bits", "4095 (if that is the largest value"),
        (TWELVE, FULL, "values up to 65535 (median 65535) of 65535", "image (each from its own minimum"),
        (TWELVE, (1023, np.uint16), "values up to 1023 (median 1023)", "65535 if the values are right"),
        (EIGHT, (1023, np.uint16), "fill their 8 bits", "1023 (if that is the largest value"),
    ],
)
def test_unequal_ranges_are_refused_with_their_numbers(tmp_path, cats, dogs, words, remedy):
    made = cats_and_dogs(tmp_path, cats, dogs)
    with pytest.raises(DataError, match="unequal parts of their ranges") as refused:
        made.prepare(masks=None)
    assert words in str(refused.value)
    assert remedy in str(refused.value)
    assert not made.out.exists()


def test_the_range_given_or_the_images_own_makes_them_equal(tmp_path):
    made = cats_and_dogs(tmp_path, TWELVE, EIGHT)
    for intensity in (4095, "image"):
        summary = made.prepare(masks=None, intensity=intensity, overwrite=True)
        dataset = made.written()
        assert dataset.card["intensity"] == intensity
        images = load_samples(dataset, range(6)).images
        assert images.amax(dim=(1, 2, 3)).tolist() == [1] * 6
        expected = noise(0, *TWELVE) / 4095
        np.testing.assert_allclose(images[0, 0], expected, atol=1e-5)
    assert summary.notes == ()
    with pytest.raises(DataError, match="leaves 3 images"):
        made.prepare(masks=None, intensity=1023, overwrite=True)
    for wrong in (0, 65_536, "own"):
        with pytest.raises(UsageError, match="intensity must be image, or the largest value"):
            made.prepare(masks=None, intensity=wrong, overwrite=True)


def test_whoever_says_that_unequal_ranges_are_right_is_told_the_numbers(tmp_path):
    made = cats_and_dogs(tmp_path, TWELVE, FULL)
    (note,) = made.prepare(masks=None, intensity=65_535).notes
    assert "hold values up to 4095" in note
    assert made.written().card["ranges"] == [
        {"class": "cat", "site": "", "bits": 16, "images": 3, "largest": 4095, "median_largest": 4095},
        {"class": "dog", "site": "", "bits": 16, "images": 3, "largest": 65_535, "median_largest": 65_535},
    ]


def test_equal_ranges_pass_and_dark_ones_are_told(tmp_path):
    made = cats_and_dogs(tmp_path, TWELVE, TWELVE)
    (note,) = made.prepare(masks=None).notes
    assert note.startswith("16-bit images use values up to 4095 of 65535, so all are stored dark")
    assert made.prepare(masks=None, intensity=4095, overwrite=True).notes == ()
    for folder, kinds in (("a", (FULL, EIGHT)), ("b", ((60, np.uint8), EIGHT))):
        (tmp_path / folder).mkdir()
        assert cats_and_dogs(tmp_path / folder, *kinds).prepare(masks=None).notes == ()


def test_one_stray_image_hides_no_range():
    used = UsedRanges()
    used.largest[Kind("cat", "a", 16)] = [4095] * 9 + [65_535]
    used.largest[Kind("dog", "a", 8)] = [255] * 10
    with pytest.raises(DataError, match=r"up to 65535 \(median 4095\)"):
        check_ranges(used, None)


def test_sites_are_told_apart_too():
    used = UsedRanges()
    for label in ("cat", "dog"):
        used.largest[Kind(label, "a", 16)] = [4095] * 5
        used.largest[Kind(label, "b", 16)] = [65_000] * 5
    with pytest.raises(DataError, match="of class 'cat' from 'a' hold values up to 4095"):
        check_ranges(used, None)


def test_images_with_one_value_everywhere_are_named(tmp_path):
    made = cats_and_dogs(tmp_path, EIGHT, EIGHT)
    made.image("1.png", grey(0))
    made.image("4.png", grey(200))
    (note,) = made.prepare(masks=None).notes
    assert note == "2 images have one value everywhere and show nothing: 1.png, 4.png"
    assert made.written().card["constant_images"] == ["1.png", "4.png"]


def test_the_command_tells_and_takes_the_intensity(tmp_path):
    app = typer.Typer()
    app.command()(command)
    made = cats_and_dogs(tmp_path, TWELVE, TWELVE)
    flags = [str(made.images), "--labels", str(made.labels), "--out", str(made.out)]
    told = CliRunner().invoke(app, flags)
    assert "note: 16-bit images use values up to 4095" in " ".join(told.output.split())
    given = CliRunner().invoke(app, [*flags, "--intensity", "4095", "--overwrite"])
    assert given.exit_code == 0
    assert "use values" not in given.output
    assert "must be image or a whole number" in CliRunner().invoke(app, [*flags, "--intensity", "4k"]).stderr
