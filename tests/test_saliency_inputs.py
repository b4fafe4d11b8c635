import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_checkpoints import SIDE, tiny_checkpoint, write_image, write_mask

from activmask.data.files.images import read_grey
from activmask.data.masks import circle, dilate
from activmask.ground.errors import ActivmaskError, CheckpointError, DataError, UsageError
from activmask.saliency.explain import explain
from activmask.saliency.inputs import image_files, read_inputs


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("run"))


def test_folders_stand_for_their_images_without_earlier_pictures(tmp_path):
    wanted = [write_image(tmp_path / name) for name in ("a.png", "b.TIFF", "c.jpg")]
    for name in ("a.saliency.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert image_files([tmp_path, wanted[0]]) == [*wanted, wanted[0]]


def test_folders_without_images_and_paths_to_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no image: expected files ending in"):
        image_files([tmp_path])
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        image_files([tmp_path / "none.png"])


def test_an_image_of_the_networks_size_is_taken_as_it_is(tmp_path, checkpoint):
    image, mask = write_image(tmp_path / "a.png"), write_mask(tmp_path / "m.png")
    inputs = read_inputs(checkpoint, [image], mask)
    np.testing.assert_array_equal(inputs.images[0, 0], read_grey(image))
    raw = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    raw[..., 7:14, 7:14] = True
    assert inputs.masks is not None
    assert torch.equal(inputs.masks[0], dilate(raw, checkpoint.config.view.mask_blur)[0, 0])


def test_a_larger_square_image_is_cropped_where_the_run_crops(tmp_path):
    recipe = {"source": "folder", "height": SIDE + 6, "width": SIDE + 6}
    cropping = tiny_checkpoint(tmp_path, image_size=SIDE, described={"recipe": recipe})
    image = write_image(tmp_path / "a.png", SIDE + 6, SIDE + 6)
    inputs = read_inputs(cropping, [image], write_mask(tmp_path / "m.png", SIDE + 6, SIDE + 6))
    np.testing.assert_array_equal(inputs.images[0, 0], read_grey(image)[3:-3, 3:-3])
    assert inputs.masks is not None
    assert inputs.masks.shape == (1, SIDE, SIDE)


def test_a_run_whose_masks_are_circles_needs_no_mask_file(tmp_path):
    circles = tiny_checkpoint(tmp_path, mask="circle", mask_blur=0.0)
    inputs = read_inputs(circles, [write_image(tmp_path / "a.png")])
    assert inputs.masks is not None
    assert torch.equal(inputs.masks, circle(SIDE))


def test_masks_in_a_folder_are_matched_by_name_or_stem(tmp_path, checkpoint):
    images = [write_image(tmp_path / "images" / name) for name in ("a.png", "b.jpg")]
    for name in ("a.png", "b.png"):
        write_mask(tmp_path / "masks" / name)
    inputs = read_inputs(checkpoint, images, tmp_path / "masks")
    assert inputs.masks is not None
    assert inputs.masks.shape == (2, SIDE, SIDE)


@pytest.mark.parametrize(("height", "width"), [(27, 27), (28, 29), (56, 56)])
def test_images_of_another_size_are_refused_by_name(tmp_path, checkpoint, height, width):
    image = write_image(tmp_path / "odd.png", height, width)
    with pytest.raises(DataError, match=f"odd.png is {width} x {height} px but .* takes 28 x 28;"):
        read_inputs(checkpoint, [image])


@pytest.mark.parametrize(("height", "width"), [(20, 20), (40, 34), (40, 40), (512, 512)])
def test_images_of_neither_the_stored_nor_the_networks_size_are_refused_by_name(tmp_path, height, width):
    recipe = {"source": "folder", "height": 34, "width": 34}
    cropping = tiny_checkpoint(tmp_path, image_size=SIDE, described={"recipe": recipe})
    with pytest.raises(DataError, match="takes 28 x 28, or images of 34 x 34 as its data set stores them"):
        read_inputs(cropping, [write_image(tmp_path / "odd.png", height, width)])


def test_networks_of_masked_images_say_where_they_see_a_whole_or_an_empty_one(tmp_path):
    loaded = tiny_checkpoint(tmp_path, classify_masked="all")
    image, mask = write_image(tmp_path / "a.png"), write_mask(tmp_path / "m.png")
    empty = tmp_path / "empty.png"
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(empty)
    assert not read_inputs(loaded, [image], mask).notes
    [whole] = read_inputs(loaded, [image]).notes
    assert "1 of these 1 have no mask" in whole
    [blank] = read_inputs(loaded, [image], empty).notes
    assert "sees nothing of them" in blank


def test_wrong_masks_are_refused(tmp_path, checkpoint):
    images = [write_image(tmp_path / "images" / name) for name in ("a.png", "b.png")]
    mask = write_mask(tmp_path / "masks" / "a.png")
    with pytest.raises(UsageError, match="one file for 2 images; give a folder"):
        read_inputs(checkpoint, images, mask)
    with pytest.raises(DataError, match=r"holds no mask for .*b.png"):
        read_inputs(checkpoint, images, mask.parent)
    with pytest.raises(DataError, match=r"the mask .*none.png does not exist"):
        read_inputs(checkpoint, images[:1], tmp_path / "none.png")
    small = write_mask(tmp_path / "small.png", 10, 12)
    with pytest.raises(
        DataError, match=r"the mask .*small.png is 12 x 10 px but its image .*a.png is 28 x 28"
    ):
        read_inputs(checkpoint, images[:1], small)


def test_networks_of_other_than_one_or_three_channels_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="takes 2 channels"):
        read_inputs(tiny_checkpoint(tmp_path, channels=2), [write_image(tmp_path / "a.png")])


def test_an_explanation_by_hand(tmp_path, checkpoint):
    image, mask = write_image(tmp_path / "a.png"), write_mask(tmp_path / "m.png")
    (explanation,) = explain(checkpoint, read_inputs(checkpoint, [image], mask), method="input-gradient")
    with torch.no_grad():
        logits = checkpoint.model(torch.from_numpy(read_grey(image))[None, None]).logits
    np.testing.assert_allclose(explanation.probabilities, logits.softmax(1)[0], rtol=1e-5)
    assert explanation.predicted == explanation.target == int(logits.argmax())
    assert explanation.mask is not None
    inside = explanation.attribution[explanation.mask].sum() / explanation.attribution.sum()
    assert explanation.share_inside == pytest.approx(float(inside), rel=1e-5)
    assert explanation.chance_inside == pytest.approx(explanation.mask.sum() / SIDE**2)


def test_shares_need_a_mask(tmp_path, checkpoint):
    (explanation,) = explain(checkpoint, read_inputs(checkpoint, [write_image(tmp_path / "a.png")]))
    assert explanation.share_inside is None
    assert explanation.chance_inside is None


def test_only_networks_trained_to_reconstruct_show_a_reconstruction(tmp_path):
    image = write_image(tmp_path / "a.png")
    for recon, loss in ((10.0, "bce"), (1.0, "mse"), (0.0, "bce")):
        unet = tiny_checkpoint(tmp_path / str(recon), model="unet", recon=recon, recon_loss=loss)
        (explanation,) = explain(unet, read_inputs(unet, [image]))
        assert (explanation.reconstruction is not None) == (recon > 0)
        if explanation.reconstruction is not None:
            assert explanation.reconstruction.shape == (SIDE, SIDE)
            assert 0 <= explanation.reconstruction.min() <= explanation.reconstruction.max() <= 1


def test_weights_that_are_not_finite_are_refused(tmp_path):
    broken = tiny_checkpoint(tmp_path)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        explain(broken, read_inputs(broken, [write_image(tmp_path / "a.png")]))


@settings(max_examples=60)
@given(
    content=st.binary(max_size=200),
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*"]),
    as_mask=st.booleans(),
)
def test_garbage_is_refused_by_name(tmp_path, checkpoint, content, start, as_mask):
    garbage = tmp_path / "garbage.png"
    garbage.write_bytes(start + content)
    image = write_image(tmp_path / "image.png") if as_mask else garbage
    with pytest.raises(ActivmaskError, match=r"garbage\.png"):
        read_inputs(checkpoint, [image], garbage if as_mask else None)
