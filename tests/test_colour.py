"""Images in colour, from files to what a network, a picture and an export make of their three channels."""

import json

import numpy as np
import pytest
import torch
from dataset_records import contents, record
from objective_settings import OBJECTIVES
from PIL import Image
from tiny_checkpoints import tiny_checkpoint, tiny_config
from user_folder import Folder, cats_and_dogs, grey, save

from activmask.auditing.conditions.export import export
from activmask.auditing.conditions.variants import MANIFEST
from activmask.data.dataset import load_samples, read_dataset
from activmask.data.duplicates import pixel_digest
from activmask.data.files.images import has_colours, read_colours
from activmask.data.files.tables import read_table
from activmask.data.planting.limits import USUAL
from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.data.planting.whole import WHOLE
from activmask.data.recipe import recipe_differences, recipe_of
from activmask.data.samples import as_picture
from activmask.data.settings import View
from activmask.data.writer import write_dataset
from activmask.ground.errors import DataError, UsageError
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.kernels.masked_shuffle.reference import source_positions
from activmask.models.build import build_model
from activmask.report.findings.site_means import mean_by_site
from activmask.saliency.inputs import read_inputs
from activmask.saliency.render import blend
from activmask.training.feed import stream as stream_module
from activmask.training.feed.stream import open_stored
from activmask.training.replicas.epoch import training_steps
from activmask.training.replicas.replica import new_replica

RED = np.tile(np.array([200, 20, 10], np.uint8), (8, 8, 1))


def coloured(number: int, side: int = 28) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)


def centre(side: int = 28) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = True
    return mask


@pytest.fixture
def folder(tmp_path) -> Folder:
    return cats_and_dogs(tmp_path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty-six images in colour, of all splits and both classes."""
    root = tmp_path_factory.mktemp("colour") / "photos"
    rows = [record(k, image=coloured(k), mask=centre() if k % 3 else None) for k in range(36)]
    write_dataset(root, rows, card={"source": "folder", "colour": "keep"})
    return root


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("RGB", [200, 20, 10]), ("RGBA", [200, 20, 10]), ("P", [200, 20, 10]), ("L", [73] * 3), ("1", [0] * 3)],
)
def test_every_kind_of_file_gives_red_green_and_blue(tmp_path, mode, expected):
    image = Image.fromarray(RED)
    path = tmp_path / "a.png"
    (image.quantize(2) if mode == "P" else image.convert(mode, dither=Image.Dither.NONE)).save(path)
    pixels = read_colours(path)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)
    np.testing.assert_array_equal(pixels[3, 4], expected)
    assert has_colours(path) == (mode in {"RGB", "RGBA", "P"})


def test_files_whose_colours_mean_something_else_are_refused(tmp_path):
    Image.new("CMYK", (8, 8), (0, 200, 200, 0)).save(tmp_path / "print.jpg")
    with pytest.raises(DataError, match=r"print\.jpg is in printer's colours \(CMYK\).*save it as RGB"):
        read_colours(tmp_path / "print.jpg")
    save(tmp_path / "deep.png", grey(300, kind=np.uint16))
    with pytest.raises(DataError, match=r"deep\.png is grey with more than 8 bits"):
        read_colours(tmp_path / "deep.png")
    save(tmp_path / "glass.png", np.dstack([RED, grey(9)]))
    with pytest.raises(DataError, match=r"glass\.png has transparent pixels"):
        read_colours(tmp_path / "glass.png")


def test_what_is_written_in_colour_is_read_back(photos):
    dataset = read_dataset(photos)
    assert (dataset.channels, dataset.card["image_channels"], dataset.card["bit_depth"]) == (3, 3, 8)
    samples = load_samples(dataset, [4, 0])
    assert (samples.images.shape, samples.masks.shape) == ((2, 3, 28, 28), (2, 1, 28, 28))
    expected = coloured(4).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(samples.images[0].numpy(), expected)
    np.testing.assert_array_equal(as_picture(samples.images[0]), expected.transpose(1, 2, 0))
    assert load_samples(dataset, []).images.shape == (0, 3, 28, 28)


def test_grey_and_colour_do_not_mix_and_the_card_must_make_sense(tmp_path, photos):
    with pytest.raises(DataError, match=r"is 6 x 5 px of 8 bits, but .* 8 bits in colour"):
        write_dataset(tmp_path / "a", [record(0, image=coloured(0)[:6, :5]), record(1)], card={})
    deep = coloured(0).astype(np.uint16)
    with pytest.raises(DataError, match=r"or uint8 \(H, W, 3\); found uint16"):
        write_dataset(tmp_path / "a", [record(0, image=deep, mask=None)], card={})
    write_dataset(tmp_path / "grey", [record(k) for k in range(4)], card={})
    card = json.loads((tmp_path / "grey/card.json").read_text())
    assert "image_channels" not in card
    (tmp_path / "grey/card.json").write_text(json.dumps({**card, "image_channels": 2}))
    with pytest.raises(DataError, match=r"image_channels must be 1 \(grey\) or 3"):
        read_dataset(tmp_path / "grey")
    own = {"source": "folder", "height": 28, "width": 28}
    assert recipe_differences(own, recipe_of(read_dataset(photos)) | {"intensity": 65535}) != []
    assert recipe_differences(own, {**own, "image_channels": 3}) == ["images are in colour, the run's grey"]


def test_a_picture_of_one_colour_is_one_of_one_value():
    assert pixel_digest(np.moveaxis(RED, 2, 0)) == b""
    assert pixel_digest(coloured(0).transpose(2, 0, 1)) != b""


def test_colours_are_kept_where_any_image_shows_some(folder):
    folder.image("a.png", RED)
    summary = folder.prepare()
    assert summary.skipped == ()
    assert summary.colours.startswith("1 of 4 images show colours: all are stored with three channels (the")
    assert summary.notes[-1].startswith("colours are present in 1 of 2 of class 'cat', 0 of 2 of class 'dog'")
    dataset = folder.written()
    assert (dataset.channels, dataset.card["colour"]) == (3, "keep")
    images = load_samples(dataset, range(4)).images
    np.testing.assert_array_equal((images[0, :, 0, 0] * 255).round().int().tolist(), [200, 20, 10])
    assert torch.equal(images[1, 0], images[1, 2])
    with Image.open(folder.out / "images/b.png") as image:
        assert image.mode == "RGB"


def test_grey_pictures_stay_the_data_set_that_they_were(folder):
    before = folder.prepare()
    assert before.colours == "none of 4 images shows colours: they are stored grey"
    assert (folder.written().channels, folder.written().card["colour"]) == (1, "refuse")
    first = contents(folder.out)
    folder.image("a.png", np.dstack([grey(0)] * 3))
    folder.prepare(overwrite=True)
    assert contents(folder.out) == first


def test_colours_can_be_made_grey_or_left_out(folder):
    folder.image("a.png", RED)
    assert folder.prepare(colour="grey").colours.startswith("1 of 4 images showed colours and became grey")
    assert (folder.written().channels, folder.written().card["colour"]) == (1, "grey")
    assert "colour image" in folder.prepare(colour="refuse", overwrite=True).skipped[0][1]
    folder.image("a.png", grey(3))
    assert folder.prepare(colour="keep", overwrite=True).colours.startswith("0 of 4 images show colours: all")
    assert folder.written().channels == 3


def test_more_than_eight_bits_beside_colours_are_refused(folder):
    folder.image("a.png", RED)
    with pytest.raises(UsageError, match="the intensity image has no effect on images in colour"):
        folder.prepare(intensity="image")
    folder.image("c.png", grey(300, kind=np.uint16))
    with pytest.raises(DataError, match=r"1 of 4 images have more than 8 bits, .*c\.png.* the colour grey"):
        folder.prepare()
    assert folder.prepare(colour="grey", intensity="image").written.channels == 1


def test_a_shuffle_moves_whole_pixels_as_numpy_would():
    images = torch.rand(3, 3, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    masks = torch.rand(3, 1, 7, 5, generator=torch.Generator().manual_seed(2)) < 0.4
    source = source_positions(masks, torch.Generator().manual_seed(3)).numpy()
    pixels = images.numpy().transpose(0, 2, 3, 1).reshape(3, 35, 3)
    expected = np.stack([pixels[k][source[k]] for k in range(3)]).reshape(3, 7, 5, 3).transpose(0, 3, 1, 2)
    shuffled = masked_shuffle(images, masks, torch.Generator().manual_seed(3))
    np.testing.assert_array_equal(shuffled.numpy(), expected)
    assert not np.array_equal(shuffled.numpy(), images.numpy())


# Masks in the middle of so small an image leave no cell of the last map to hirescam, which says so.
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in {"dropout", "hirescam"}])
def test_every_objective_takes_three_channels(photos, tmp_path, name):
    settings = {"split_policy": "given", "batch_size": 6, "epochs": 2, **OBJECTIVES[name]}
    replica = new_replica(tiny_config(data=str(photos), **settings), 0, tmp_path, torch.device("cpu"))
    assert replica.description(0).channels == 3
    values, _ = next(training_steps(replica))
    assert torch.isfinite(values).all()


def test_a_stream_gives_the_bits_of_memory(photos, monkeypatch):
    config = tiny_config(data=str(photos), split_policy="given", actdiff=1.0)
    parts = config.source, config.view, config.objectives, 0
    resident, _ = open_stored(*parts, device=torch.device("cpu"))
    monkeypatch.setattr(stream_module, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(stream_module, "worker_count", lambda threads, world: 0)
    streamed, _ = open_stored(*parts, device=torch.device("cpu"))
    valid = streamed.splits["valid"].images
    assert valid.shape == resident["valid"].images.shape
    assert torch.equal(torch.cat(list(valid.split(5))), resident["valid"].images)


def test_saliency_reads_what_the_network_takes(photos, tmp_path):
    recipe = recipe_of(read_dataset(photos))
    network = tiny_checkpoint(tmp_path / "c", channels=3, described={"recipe": recipe})
    save(tmp_path / "grey.png", grey(51, 28))
    inputs = read_inputs(network, [photos / "images/image-004.png", tmp_path / "grey.png"])
    assert torch.equal(inputs.images[0], load_samples(read_dataset(photos), [4]).images[0])
    assert torch.equal(inputs.images[1], torch.full((3, 28, 28), 0.2))
    of_grey = tiny_checkpoint(tmp_path / "g", described={"recipe": {**recipe, "image_channels": 1}})
    with pytest.raises(DataError, match="images are in colour, the run's grey"):
        read_inputs(of_grey, [photos / "images/image-004.png"])


def test_marks_lie_on_grey_so_that_colours_are_not_taken_for_them():
    image = np.zeros((2, 2, 3), np.float32)
    image[0] = [1, 0.6, 0]
    faint = blend(image, np.array([[False, True], [False, True]]))
    assert faint.shape == (2, 2, 3)
    assert np.ptp(faint[:, 0], axis=-1).max() < 1e-6 < np.ptp(faint[:, 1], axis=-1).min()


def test_an_export_is_in_colour(photos, tmp_path):
    export(photos, tmp_path / "out", draws=1)
    rows = read_table(tmp_path / "out" / MANIFEST, ("file", "condition", "image"))
    full = next(row for row in rows if row["condition"] == "full")
    assert np.array_equal(read_colours(tmp_path / "out" / full["file"]), read_colours(photos / full["image"]))
    shuffled = next(row for row in rows if row["condition"] == "outside shuffled")
    pixels = read_colours(tmp_path / "out" / shuffled["file"])
    before = read_colours(photos / shuffled["image"])
    assert np.array_equal(pixels[centre()], before[centre()])
    assert not np.array_equal(pixels, before)
    assert sorted(map(bytes, pixels.reshape(-1, 3))) == sorted(map(bytes, before.reshape(-1, 3)))


@pytest.mark.parametrize("shortcut", ["tag", "brightness", "blur", "noise", "jpeg"])
def test_shortcuts_are_planted_in_colour(photos, tmp_path, shortcut):
    plant(photos, tmp_path / "out", Planting(shortcut=shortcut, of_class="1", share=0.5))
    dataset = read_dataset(tmp_path / "out")
    row = next(k for k, twin in enumerate(dataset.twin_file_names) if twin != dataset.file_names[k])
    image, twin = (
        read_colours(dataset.root / name[row]) for name in (dataset.file_names, dataset.twin_file_names)
    )
    assert dataset.channels == 3
    assert np.array_equal(twin, read_colours(photos / dataset.file_names[row]))
    if shortcut == "tag":
        inside = np.asarray(Image.open(dataset.root / dataset.shortcut_mask_file_names[row])) > 0
        assert np.ptp(image[inside], axis=-1).max() == 0
        assert np.array_equal(image[~inside], twin[~inside])
    if shortcut in {"brightness", "blur"}:
        change, strength = WHOLE[shortcut], USUAL[shortcut].strength
        alone = [change(twin[..., k], strength, np.random.default_rng()) for k in range(3)]
        np.testing.assert_array_equal(image, np.dstack(alone))
    assert (image != twin).any()


def test_the_mean_of_a_site_is_in_colour(photos):
    dataset = read_dataset(photos)
    rows = np.arange(len(dataset))
    first = mean_by_site(dataset, rows, View())[0]
    own = [coloured(k) for k in rows if dataset.sites[k] == first.site]
    np.testing.assert_allclose(first.image, np.mean(own, axis=0) / 255, atol=1e-6)


def test_a_network_of_three_channels_is_built_for_them():
    for name in ("cnn", "ae", "unet", "resnet18"):
        model = build_model(tiny_config(model=name).network, channels=3, classes=2, image_size=28, seed=0)
        output = model(torch.zeros(1, 3, 28, 28))
        assert output.reconstruction is None or output.reconstruction.shape == (1, 3, 28, 28)
