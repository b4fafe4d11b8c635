"""A raw file is explained as its data set would have stored it, or refused."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from dicom_files import gradient, write_dicom
from PIL import Image
from tiny_checkpoints import SIDE, tiny_checkpoint, write_image, write_mask

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.files.images import to_stored
from activmask.data.recipe import class_names, recipe_of
from activmask.data.sources.folder.prepare import prepare_folder
from activmask.data.sources.msd.prepare import prepare_msd
from activmask.data.sources.xray.pixels import read_intensities, read_xray_mask, resized
from activmask.ground.errors import DataError
from activmask.saliency.inputs import read_inputs

XRAY = {"source": "xray", "intensity": "image", "height": SIDE, "width": SIDE, "bit_depth": 16}
PLAIN = {"mask_blur": 0.0}


def network(folder, recipe, **settings):
    return tiny_checkpoint(folder / "run", described={"recipe": recipe}, **{**PLAIN, **settings})


def write_deep(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint16)).save(path)
    return path


@pytest.mark.parametrize("kind", ["8 bits", "12 bits in 16", "JPEG", "TIFF"])
def test_an_xray_of_any_kind_goes_through_the_preparing_of_its_data_set(tmp_path, kind):
    if kind == "12 bits in 16":
        values = np.random.default_rng(0).integers(300, 4096, (90, 70))
        path = write_deep(tmp_path / "raw.png", values)
    else:
        path = write_image(tmp_path / f"raw.{ {'JPEG': 'jpg', 'TIFF': 'tif'}.get(kind, 'png') }", 90, 70)
    mask = write_mask(tmp_path / "mask.png", 90, 70)
    inputs = read_inputs(network(tmp_path, XRAY), [path], mask)
    stored = to_stored(resized(read_intensities(path), SIDE))
    np.testing.assert_array_equal(inputs.images[0, 0], stored / np.float32(65535))
    assert inputs.masks is not None
    np.testing.assert_array_equal(inputs.masks[0], read_xray_mask(mask, (90, 70), SIDE))
    assert 0.3 < float(inputs.images.mean()) < 0.7


def test_an_xray_as_large_as_stored_ones_is_read_by_where_it_lies(tmp_path):
    network_ = network(tmp_path, XRAY)
    values = np.random.default_rng(0).integers(300, 4096, (SIDE, SIDE))
    raw = write_deep(tmp_path / "raw.png", values)
    with pytest.raises(DataError, match="cannot be told whether its 16-bit values were scaled already"):
        read_inputs(network_, [raw])
    values[0, :2] = 0, 65535
    full = write_deep(tmp_path / "full.png", values)
    np.testing.assert_array_equal(
        read_inputs(network_, [full]).images[0, 0], (values / np.float32(65535)).astype(np.float32)
    )
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "metadata.csv").touch()
    (tmp_path / "data" / "card.json").write_text(json.dumps(XRAY))
    own = write_deep(tmp_path / "data" / "images" / "a.png", values // 2)
    assert float(read_inputs(network_, [own]).images.max()) == pytest.approx(0.5, abs=1e-4)


def test_an_intensity_rule_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"intensity must be image, released or .* found 'by the moon'"):
        read_inputs(
            network(tmp_path, {**XRAY, "intensity": "by the moon"}), [write_image(tmp_path / "a.png", 90, 70)]
        )


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        ({"source": "folder", "height": SIDE, "width": SIDE}, "plain pictures"),
        ({"source": "synthetic", "height": SIDE, "width": SIDE}, "the synthetic benchmark"),
        ({"source": "msd", "height": SIDE, "width": SIDE}, "slices of volumes"),
        ({"height": SIDE, "width": SIDE}, "not known to be X-rays"),
    ],
)
def test_a_network_of_other_images_takes_no_dicom(tmp_path, recipe, what):
    path = write_dicom(tmp_path / "scan.dcm", gradient(40, 40))
    with pytest.raises(DataError, match=rf"scan\.dcm is a DICOM file, but .* {what}"):
        read_inputs(network(tmp_path, recipe), [path])


def test_an_original_of_a_resized_folder_is_resized_by_the_same_function(tmp_path):
    for number in range(4):
        write_image(tmp_path / "images" / f"{number}.png", 90, 70 + number, seed=number)
        write_mask(tmp_path / "masks" / f"{number}.png", 90, 70 + number)
    rows = "".join(f"{number}.png,{number % 2}\n" for number in range(4))
    (tmp_path / "labels.csv").write_text("file_name,label\n" + rows)
    prepare_folder(
        tmp_path / "images", tmp_path / "labels.csv", tmp_path / "data", masks=tmp_path / "masks", size=34
    )
    dataset = read_dataset(tmp_path / "data")
    samples = load_samples(dataset, range(4))
    checkpoint = network(tmp_path, recipe_of(dataset), image_size=SIDE)
    originals = sorted((tmp_path / "images").iterdir())
    stored = [dataset.root / name for name in dataset.file_names]
    for paths, masks in ((originals, tmp_path / "masks"), (stored, dataset.root / "masks")):
        inputs = read_inputs(checkpoint, paths, masks)
        assert inputs.masks is not None
        assert torch.equal(inputs.images, samples.images[:, :, 3:31, 3:31])
        assert torch.equal(inputs.masks, samples.masks[:, 0, 3:31, 3:31])
        assert inputs.masks.any()


def test_other_depths_than_the_data_sets_are_refused(tmp_path):
    deep = write_deep(tmp_path / "deep.png", np.full((SIDE, SIDE), 4000))
    flat = {"source": "folder", "height": SIDE, "width": SIDE, "bit_depth": 8}
    for recipe in (flat, {**flat, "resized_to": SIDE}):
        with pytest.raises(DataError, match=r"deep\.png has 16 bits per pixel, but every image .* has 8"):
            read_inputs(network(tmp_path, recipe), [deep])
    slices = {"source": "msd", "height": SIDE, "width": SIDE, "bit_depth": 16}
    with pytest.raises(DataError, match=r"a\.png has 8 bits per pixel, but the slices .* have 16"):
        read_inputs(network(tmp_path, slices), [write_image(tmp_path / "a.png")])


def test_a_stored_image_of_another_recipe_is_refused(tmp_path):
    recipe = {"source": "msd", "channel": 1, "height": SIDE, "width": SIDE}
    image = write_image(tmp_path / "data" / "images" / "a.png")
    (tmp_path / "data" / "metadata.csv").touch()
    card = tmp_path / "data" / "card.json"
    card.write_text(json.dumps(recipe))
    assert len(read_inputs(network(tmp_path, recipe), [image]).images) == 1
    card.write_text(json.dumps({**recipe, "channel": 0}))
    with pytest.raises(DataError, match=r"lies in a data set that was prepared otherwise .*channel is 0"):
        read_inputs(network(tmp_path, recipe), [image])


def volume(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1, 3, 1])), path)
    return path


def labels() -> np.ndarray:
    """A large organ and a small tumour in its corner."""
    found = np.zeros((SIDE, SIDE, 4), np.uint8)
    found[4:24, 4:24, :3] = 1
    found[18:22, 18:22, 1:3] = 2
    return found


@pytest.fixture(scope="module", params=["decathlon", "nnunet"])
def task(request, tmp_path_factory):
    """A task of two channels, its second prepared, where only label 2 counts."""
    root, nnunet = tmp_path_factory.mktemp(request.param), request.param == "nnunet"
    rng = np.random.default_rng(0)
    training = []
    for name in ("c_0001", "c_0002"):
        images = [rng.normal(size=(SIDE, SIDE, 4)).astype(np.float32) for _ in range(2)]
        if nnunet:
            for number, image in enumerate(images):
                volume(root / f"imagesTr/{name}_{number:04d}.nii.gz", image)
        else:
            volume(root / f"imagesTr/{name}.nii.gz", np.stack(images, axis=-1))
        volume(root / f"labelsTr/{name}.nii.gz", labels())
        training.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    named = {"background": 0, "organ": 1, "tumour": 2}
    facts = {"channel_names": {"0": "T1", "1": "T2"}, "labels": named, "file_ending": ".nii.gz"}
    if not nnunet:
        numbered = {str(number): name for name, number in named.items()}
        facts = {"modality": {"0": "T1", "1": "T2"}, "labels": numbered, "training": training}
    (root / "dataset.json").write_text(json.dumps({"name": "t", **facts}))
    prepare_msd(root, root / "data", labels=("tumour",), channel=1, size=SIDE)
    return root, "c_0001_0001" if nnunet else "c_0001"


def test_a_slice_of_the_networks_channel_with_the_labels_of_its_data_set(task, tmp_path):
    root, case = task
    dataset = read_dataset(root / "data")
    checkpoint = network(tmp_path, recipe_of(dataset))
    row = [Path(name).stem for name in dataset.file_names].index("c_0001-z001")
    samples = load_samples(dataset, [row])
    for mask in (root / "labelsTr", root / "labelsTr" / "c_0001.nii.gz"):
        inputs = read_inputs(checkpoint, [root / f"imagesTr/{case}.nii.gz"], mask, slice_number=1)
        assert inputs.masks is not None
        assert torch.equal(inputs.images, samples.images)
        assert torch.equal(inputs.masks, samples.masks[:, 0])
        assert 0 < inputs.masks.sum() <= 16
    assert class_names(dataset) == ("absent", "present")


def test_labels_that_are_not_declared_or_no_whole_numbers_are_refused(task, tmp_path):
    root, case = task
    checkpoint, image = (
        network(tmp_path, recipe_of(read_dataset(root / "data"))),
        root / f"imagesTr/{case}.nii.gz",
    )
    strange = labels()
    strange[0, 0, 1] = 5
    for values, message in (
        (strange, "does not declare"),
        (labels() * np.float32(0.7), "between whole numbers"),
    ):
        with pytest.raises(DataError, match=message):
            read_inputs(checkpoint, [image], volume(tmp_path / "l.nii", values), slice_number=1)
    nearly = volume(tmp_path / "nearly.nii", labels().astype(np.float32) * np.float32(0.99999))
    inputs = read_inputs(checkpoint, [image], nearly, slice_number=1)
    assert inputs.masks is not None
    assert inputs.masks.sum() == 16


def test_files_of_another_channel_are_refused(task, tmp_path):
    root, case = task
    checkpoint = network(tmp_path, recipe_of(read_dataset(root / "data")))
    single = np.zeros((SIDE, SIDE, 4), np.float32)
    if case == "c_0001":
        with pytest.raises(DataError, match="has 1 channel in its fourth axis, expected 2"):
            read_inputs(checkpoint, [volume(tmp_path / "c_0001.nii", single)], slice_number=1)
        return
    with pytest.raises(DataError, match=r"is of channel 0 by its name, but .* channel 1"):
        read_inputs(checkpoint, [root / "imagesTr/c_0001_0000.nii.gz"], slice_number=1)
    with pytest.raises(DataError, match="does not say a channel by its name"):
        read_inputs(checkpoint, [volume(tmp_path / "c.nii", single)], slice_number=1)


def test_a_card_of_an_earlier_version_still_finds_the_file_of_a_channel(task, tmp_path):
    root, case = task
    recipe = recipe_of(read_dataset(root / "data"))
    old = {name: value for name, value in recipe.items() if name not in {"layout", "declared"}}
    image = [root / f"imagesTr/{case}.nii.gz"]
    inputs = [
        read_inputs(network(tmp_path / str(number), one), image, root / "labelsTr", slice_number=1)
        for number, one in enumerate((recipe, old))
    ]
    assert torch.equal(inputs[0].images, inputs[1].images)
    assert torch.equal(inputs[0].masks, inputs[1].masks)


def test_a_dicom_file_of_a_folder_that_was_not_resized_is_read_at_its_size(tmp_path):
    for number in range(2):
        write_dicom(tmp_path / "images" / f"{number}.dcm", gradient(SIDE, SIDE) * (number + 1))
        write_mask(tmp_path / "masks" / f"{number}.png", SIDE, SIDE)
    (tmp_path / "labels.csv").write_text("file_name,label\n0.dcm,0\n1.dcm,1\n")
    prepare_folder(tmp_path / "images", tmp_path / "labels.csv", tmp_path / "data", masks=tmp_path / "masks")
    dataset = read_dataset(tmp_path / "data")
    checkpoint = network(tmp_path, recipe_of(dataset))
    inputs = read_inputs(checkpoint, [tmp_path / "images" / "1.dcm"], tmp_path / "masks")
    stored = load_samples(dataset, [1])
    assert torch.equal(inputs.images, stored.images)
    assert torch.equal(inputs.masks, stored.masks[:, 0])
    other = write_dicom(tmp_path / "other.dcm", gradient(40, 40))
    with pytest.raises(DataError, match=r"other\.dcm is 40 x 40 px, but the images .* are 28 x 28 and"):
        read_inputs(checkpoint, [other])
    scan, mask = (tmp_path / name for name in ("scan.dcm", "mask.dcm"))
    write_dicom(scan, gradient(SIDE, SIDE), PixelSpacing=[1, 1])
    write_dicom(mask, np.eye(SIDE, dtype=np.uint8), PixelSpacing=[0.5, 0.5])
    with pytest.raises(DataError, match=r"mask\.dcm lies elsewhere .* differ in PixelSpacing"):
        read_inputs(checkpoint, [scan], mask)
