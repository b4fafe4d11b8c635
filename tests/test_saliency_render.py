import io
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from activmask.ground.errors import DataError, UsageError
from activmask.saliency.explain import Explanation
from activmask.saliency.maps import top_pixels
from activmask.saliency.pictures import check_raw_path, picture_paths, write_pictures, write_raw
from activmask.saliency.render import draw, heat_over, png_bytes
from activmask.saliency.sheet import chosen, draw_sheet
from activmask.saliency.told import sheet_rows, summarise


def explanation(side=28, **changes):
    generator = np.random.default_rng(0)
    mask = np.zeros((side, side), dtype=bool)
    mask[5:9, 5:9] = True
    whole = Explanation(
        path=Path("image.png"),
        image=generator.random((side, side), dtype=np.float32),
        mask=mask,
        method="contrast",
        target=1,
        attribution=generator.random((side, side), dtype=np.float32),
        probabilities=np.array([0.25, 0.75], dtype=np.float32),
        reconstruction=None,
    )
    return replace(whole, **changes)


def texts(figure):
    found = [figure.get_suptitle()]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
    return "\n".join(found)


def test_the_picture_says_what_the_network_said():
    said = texts(draw(explanation()))
    assert "image.png\nclass 1: 0.75, class 0: 0.25" in said
    assert 'evidence for or against "class 1"\ncontrast' in said
    assert "inside the mask, by chance 2%" in said
    assert "highest 10 % of pixels" in said
    assert "reconstruction" not in said


def test_panels_follow_what_there_is():
    bar = 1
    assert len(draw(explanation()).axes) == 4 + bar
    assert len(draw(explanation(reconstruction=np.zeros((28, 28), dtype=np.float32))).axes) == 5 + bar
    unmasked = draw(explanation(mask=None))
    assert all(not axes.collections for axes in unmasked.axes[:4])
    assert "inside the mask" not in texts(unmasked)


def test_the_mask_is_outlined_along_the_edges_of_its_pixels():
    (outline,) = draw(explanation()).axes[0].collections
    ends = {tuple(end) for segment in outline.get_segments() for end in segment}
    assert len(outline.get_segments()) == 16
    assert min(ends) == (4.5, 4.5)
    assert max(ends) == (8.5, 8.5)


def test_a_mask_at_the_border_is_closed():
    (outline,) = draw(explanation(mask=np.ones((28, 28), dtype=bool))).axes[0].collections
    assert len(outline.get_segments()) == 4 * 28


def test_pixels_are_drawn_as_squares():
    for axes in draw(explanation()).axes[:4]:
        assert axes.get_images()[0].get_interpolation() == "nearest"


@pytest.mark.parametrize("side", [8, 28, 512])
def test_a_png_has_at_least_one_dot_per_pixel(side):
    picture = Image.open(io.BytesIO(png_bytes(draw(explanation(side)))))
    assert picture.format == "PNG"
    assert picture.height > side
    assert picture.width > 3 * side


@pytest.mark.parametrize(
    "name", ["$x$ {a} \\frac.png", "肝臓.png", "surrogate-\udcff.png", "n" * 200 + ".png"]
)
def test_any_file_name_can_be_drawn(name):
    assert png_bytes(draw(explanation(path=Path(name))))


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e30])
def test_constant_attributions_can_be_drawn(level):
    assert png_bytes(draw(explanation(attribution=np.full((28, 28), level, dtype=np.float32))))


def test_many_classes_are_cut_short():
    probabilities = np.arange(8, dtype=np.float32) / 28
    assert "class 7: 0.25, class 6: 0.21" in texts(draw(explanation(probabilities=probabilities)))
    assert texts(draw(explanation(probabilities=probabilities))).count("class") == 5 + 1


def test_titles_speak_of_classes_by_name_and_of_the_slice():
    named = explanation(
        class_names=("normal", "abnormal"), label=0, slice_number=16, path=Path("liver.nii.gz")
    )
    said = texts(draw(named))
    assert "liver.nii.gz, slice 16\nabnormal: 0.75, normal: 0.25 (it is normal)" in said
    assert 'evidence for or against "abnormal"' in said
    assert 'evidence for "abnormal"' in texts(draw(replace(named, method="gradcam", layer="layer4")))
    long = replace(named, class_names=("n" * 200, "$a$" * 90))
    assert len(max(texts(draw(long)).splitlines(), key=len)) < 110


def test_heat_over_an_image_by_hand():
    image = np.array([[1.0, 0.0]], dtype=np.float32)
    none, most = heat_over(image, np.array([[0.0, 2.0]], dtype=np.float32), "gray")[0]
    np.testing.assert_allclose(none, [0.7] * 3, atol=1e-6)
    np.testing.assert_allclose(most, [0.8] * 3, atol=1e-6)
    red = heat_over(np.array([[[1.0, 0, 0]]], np.float32), np.zeros((1, 1), np.float32))
    np.testing.assert_allclose(red, [[[0.7 * 0.299] * 3]], atol=1e-3)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (9, 9), (64, 64), (65, 64), (760, 64)])
def test_a_sheet_shows_so_many_and_says_how_many_there_are(count, shown):
    assert len(chosen(count)) == shown == len(set(chosen(count)))
    assert chosen(count)[-1] == count - 1
    if count in {9, 65}:
        figure = draw_sheet([explanation(8, mask=None)] * count, "runs/a")
        assert sum(bool(axes.get_images()) for axes in figure.axes) == shown
        assert ("9 images" if count == 9 else "64 of 65 images") in figure.get_suptitle()


def test_a_summary_by_hand():
    mask = np.zeros((2, 2), dtype=bool)
    mask[0] = True
    one = explanation(2, mask=mask, attribution=np.array([[1, 2], [0, 1]], np.float32), label=1)
    other = replace(one, attribution=np.array([[1, 0], [1, 0]], np.float32), label=0)
    told = summarise([one, other, replace(one, mask=None, label=None)])
    assert (told.images, told.masked, told.labelled, told.right) == (3, 2, 2, 1)
    assert (told.inside, told.chance) == (pytest.approx(0.625), 0.5)
    assert told.inside_sd == pytest.approx(0.125 * 2**0.5)
    assert told.predicted == {"class 1": 3}


def test_names_in_the_table_of_a_sheet_are_no_formulas():
    rows = sheet_rows([explanation(path=Path("=1+1.png"))], [("b.png", "it is empty")]).decode().splitlines()
    assert rows[1].startswith("'=1+1.png,1,class 1,0.750000,,,class 1,")
    assert rows[2] == "b.png,,,,,,,,,it is empty"


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    png_bytes(draw(explanation()))
    assert dict(mpl.rcParams) == before


def test_top_pixels_by_hand():
    attribution = np.array([[1, 2], [3, 4]], dtype=np.float32)
    assert top_pixels(attribution, 0.5).tolist() == [[False, False], [True, True]]
    assert top_pixels(attribution, 0.01).tolist() == [[False, False], [False, True]]
    assert not top_pixels(np.zeros((2, 2), dtype=np.float32), 1.0).any()


@given(hnp.arrays(np.float32, (5, 5), elements=st.integers(0, 9)), st.floats(0.01, 1))
def test_top_pixels_are_the_highest(attribution, share):
    chosen = top_pixels(attribution, share)
    k = max(1, round(share * 25))
    assert chosen.sum() >= min(k, (attribution > 0).sum())
    if chosen.any() and not chosen.all():
        assert attribution[chosen].min() > attribution[~chosen].max()


def test_pictures_go_next_to_their_images_or_where_asked(tmp_path):
    images = [tmp_path / "a" / "x.png", tmp_path / "b" / "y.jpg"]
    assert picture_paths(images) == [tmp_path / "a" / "x.saliency.png", tmp_path / "b" / "y.saliency.png"]
    assert picture_paths(images, tmp_path / "o") == [tmp_path / "o" / f"{n}.saliency.png" for n in "xy"]
    assert picture_paths(images[:1], tmp_path / "one.png") == [tmp_path / "one.png"]


@pytest.mark.parametrize(
    ("images", "out", "message"),
    [
        (["a.png", "b.png"], "o.png", "o.png is one file for the pictures of 2 images"),
        (["a.png", "a.jpg"], None, "would both be"),
        (["x/a.png", "y/a.png"], "o", "would both be"),
        (["a.png"], "a.png", "would replace an image"),
    ],
)
def test_pictures_that_would_be_lost_are_refused(images, out, message):
    with pytest.raises(UsageError, match=message):
        picture_paths([Path(image) for image in images], None if out is None else Path(out))


def test_raw_files_are_npy_and_replace_no_image():
    with pytest.raises(UsageError, match=r"must end in \.npy; found raw\.txt"):
        check_raw_path(Path("raw.txt"), [])
    with pytest.raises(UsageError, match="would replace an image"):
        check_raw_path(Path("a.npy"), [Path("a.npy")])


@pytest.mark.parametrize(("count", "shape"), [(1, (28, 28)), (3, (3, 28, 28))])
def test_raw_attributions_are_float32_and_stacked(tmp_path, count, shape):
    explanations = [explanation()] * count
    write_raw(explanations, tmp_path / "deep" / "raw.npy")
    stored = np.load(tmp_path / "deep" / "raw.npy", allow_pickle=False)
    assert (stored.shape, stored.dtype) == (shape, np.float32)
    np.testing.assert_array_equal(stored.reshape(-1, 28, 28)[0], explanations[0].attribution)


@pytest.mark.parametrize("top", [0.0, -0.1, 1.01, float("nan")])
def test_shares_of_pixels_that_make_no_sense_are_refused(tmp_path, top):
    with pytest.raises(UsageError, match="above 0 % and at most 100 %"):
        write_pictures([explanation()], [tmp_path / "a.png"], top=top)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file cannot be made \(File exists\); move what is in the way"):
        write_raw([explanation()], tmp_path / "file" / "raw.npy")


def test_a_folder_of_raw_maps_has_one_a_picture(tmp_path):
    explanations = [explanation(path=Path(f"deep/{name}.png")) for name in "ab"]
    images = [one.path for one in explanations]
    check_raw_path(tmp_path / "maps", images)
    write_raw(explanations, tmp_path / "maps", [*images, Path("broken.png")])
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a.npy", "b.npy"]
    found = np.load(tmp_path / "maps/a.npy", allow_pickle=False)
    np.testing.assert_array_equal(found, explanations[0].attribution)
    with pytest.raises(UsageError, match="several images would have one file"):
        check_raw_path(tmp_path / "maps", [*images, Path("elsewhere/a.jpg")])
