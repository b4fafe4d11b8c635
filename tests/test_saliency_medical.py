import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import typer
from activmask_cli.saliency import saliency
from dicom_files import PATIENT, PATIENT_ID, gradient, write_dicom
from PIL import Image
from tiny_checkpoints import SIDE, tiny_checkpoint, write_checkpoint, write_image, write_mask
from typer.testing import CliRunner

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.files.images import to_stored
from activmask.data.recipe import recipe_of
from activmask.data.sources.msd.prepare import prepare_msd
from activmask.data.sources.msd.raw import StoredSlices, read_nifti_slice, stored_slices
from activmask.data.sources.xray.pixels import read_intensities, resized
from activmask.ground.errors import DataError, UsageError
from activmask.saliency.inputs import image_files, read_inputs
from activmask.saliency.pictures import picture_paths

SHAPE = (24, 20, 6)
app = typer.Typer()
app.command()(saliency)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-2.0, 1.5, 3, 1]) if affine is None else affine), path)
    return path


def organ() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:10, 6:15, 1:4] = 1
    labels[5, 7, 2] = 2
    return labels


def write_task(folder: Path, modality: str) -> Path:
    rng = np.random.default_rng(0)
    training = []
    for name in ("vol_0", "vol_1"):
        write_volume(folder / "imagesTr" / f"{name}.nii.gz", rng.integers(-400, 400, SHAPE).astype(np.int16))
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", organ())
        training.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    facts = {"name": "Organ", "modality": {"0": modality}, "training": training}
    labels = {"0": "background", "1": "organ", "2": "tumour"}
    (folder / "dataset.json").write_text(json.dumps({**facts, "labels": labels}))
    return folder


def slices_of(recipe, preset="synthetic", network_size=SIDE, crops=True):
    return stored_slices(recipe, preset=preset, network_size=network_size, crops=crops, network="net")


def xray_recipe(side=SIDE):
    return {"source": "xray", "intensity": "image", "height": side, "width": side, "bit_depth": 16}


@pytest.fixture(scope="module", params=["CT", "MRI"])
def prepared(request, tmp_path_factory):
    """A task, its data set of 31 px slices, and a checkpoint that sees 28 px of them."""
    folder = tmp_path_factory.mktemp(request.param)
    task = write_task(folder / "task", request.param)
    prepare_msd(task, folder / "data", size=31)
    return task, folder / "data", folder


def test_a_slice_is_what_prepare_msd_stored(prepared, tmp_path):
    task, data, _ = prepared
    dataset = read_dataset(data)
    stored = slices_of(recipe_of(dataset))
    for row, name in enumerate(dataset.file_names):
        subject, number = Path(name).stem.rsplit("-z", 1)
        image = task / "imagesTr" / f"{subject}.nii.gz"
        label = task / "labelsTr" / f"{subject}.nii.gz"
        samples = load_samples(dataset, [row])
        pixels, inside, native = read_nifti_slice(image, int(number), stored, label)
        # 24 columns of 2 mm are 48 mm wide, so 20 rows of 1.5 mm are padded to 32.
        assert native == (32, 24) == tuple(samples.native[0].tolist())
        np.testing.assert_array_equal(pixels, samples.images[0, 0])
        assert inside is not None
        if samples.has_mask[0]:
            np.testing.assert_array_equal(inside, samples.masks[0, 0])
        else:
            assert inside.sum() == 0
        assert pixels.std() > 0.1


def test_a_network_sees_a_slice_as_evaluation_does(prepared):
    task, data, folder = prepared
    checkpoint = tiny_checkpoint(folder / "run", data=str(data), image_size=SIDE, mask_blur=0.0)
    image = task / "imagesTr" / "vol_1.nii.gz"
    inputs = read_inputs(checkpoint, [image], task / "labelsTr", slice_number=2)
    dataset = read_dataset(data)
    row = [Path(name).stem for name in dataset.file_names].index("vol_1-z002")
    samples = load_samples(dataset, [row])
    assert inputs.masks is not None
    assert torch.equal(inputs.images, samples.images[:, :, 1:29, 1:29])
    assert torch.equal(inputs.masks, samples.masks[:, 0, 1:29, 1:29])


def test_without_a_recipe_the_preset_tells_size_and_window():
    assert slices_of({}, "liver", 100) == StoredSlices(110, (-160.0, 240.0), 0, None)
    assert slices_of({}, "cardiac", 64, crops=False) == StoredSlices(64, None, 0, None)
    with pytest.raises(DataError, match=r"net has no card\.json that tells how"):
        slices_of({}, network_size=64, crops=False)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"source": "folder", "width": 28}, "is of a data set without volumes"),
        (
            {"source": "msd", "width": 28, "window": {"low": "a", "high": 2, "unit": "value"}},
            "must be numbers",
        ),
        ({"source": "msd", "window": {"low": 1, "high": 2, "unit": "value"}}, "must be numbers"),
    ],
)
def test_recipes_that_do_not_tell(recipe, message):
    with pytest.raises(DataError, match=message):
        slices_of(recipe, "liver", 28, crops=False)


def test_wrong_slices_and_labels_are_refused(prepared, tmp_path):
    task, _, _ = prepared
    image, stored = task / "imagesTr" / "vol_0.nii.gz", StoredSlices(31, None, 0)
    for number in (-1, 6):
        with pytest.raises(UsageError, match=rf"the slice must be from 0 to 5 in .*vol_0.*; found {number}"):
            read_nifti_slice(image, number, stored)
    other = write_volume(tmp_path / "other.nii", np.zeros((24, 20, 7), np.uint8))
    with pytest.raises(
        DataError, match=r"other\.nii has 20 x|other\.nii has 24 x 20 x 7 voxels but its image"
    ):
        read_nifti_slice(image, 0, stored, other)
    elsewhere = write_volume(tmp_path / "else.nii", organ(), np.diag([-2.0, 1.5, 9, 1]))
    with pytest.raises(DataError, match="lies elsewhere in the patient"):
        read_nifti_slice(image, 0, stored, elsewhere)
    (tmp_path / "cut.nii.gz").write_bytes(image.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"cut\.nii\.gz is truncated"):
        read_nifti_slice(tmp_path / "cut.nii.gz", 0, stored)


def test_channels_other_than_the_data_sets_are_refused(prepared, tmp_path):
    task, data, _ = prepared
    stored = slices_of(recipe_of(read_dataset(data)))
    assert stored.channels == 1
    image, label = (task / folder / "vol_0.nii.gz" for folder in ("imagesTr", "labelsTr"))
    values = np.asarray(nibabel.load(image).dataobj)
    both = write_volume(tmp_path / "both.nii", np.stack([values, values[::-1]], axis=3))
    one_hot = write_volume(tmp_path / "hot.nii", np.stack([organ() == 0, organ() > 0], 3).astype(np.uint8))
    with pytest.raises(DataError, match=r"both\.nii has 2 channels in its fourth axis, expected 1"):
        read_nifti_slice(both, 2, stored)
    with pytest.raises(DataError, match=r"hot\.nii has 2 channels in its fourth axis, expected 1"):
        read_nifti_slice(image, 2, stored, one_hot)
    two = StoredSlices(31, None, 1, 2)
    assert not np.array_equal(
        read_nifti_slice(both, 2, two, label)[0], read_nifti_slice(image, 2, StoredSlices(31, None, 0))[0]
    )
    with pytest.raises(DataError, match=r"vol_0\.nii\.gz has 1 channel in its fourth axis, expected 2"):
        read_nifti_slice(image, 2, two)


def test_a_card_of_an_earlier_version_does_not_say_how_many_channels(prepared, tmp_path):
    task, _, _ = prepared
    window = {"low": -160, "high": 240, "unit": "value"}
    old = slices_of({"source": "msd", "width": 31, "window": window}, "liver", 28, crops=False)
    image = task / "imagesTr" / "vol_0.nii.gz"
    read_nifti_slice(image, 2, old)
    values = np.asarray(nibabel.load(image).dataobj)
    both = write_volume(tmp_path / "both.nii", np.stack([values, values], axis=3))
    with pytest.raises(DataError, match=r"both\.nii has 2 channels, .* prepare it anew"):
        read_nifti_slice(both, 2, old)


def test_slices_are_of_volumes_and_volumes_have_slices(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path)
    with pytest.raises(UsageError, match=r"a\.nii\.gz is a volume; give the number"):
        read_inputs(checkpoint, [tmp_path / "a.nii.gz"])
    with pytest.raises(UsageError, match=r"a\.png is no NIfTI volume .* leave the slice out"):
        read_inputs(checkpoint, [write_image(tmp_path / "a.png")], slice_number=3)


def test_pictures_of_volumes_carry_the_slice(tmp_path):
    volumes = [tmp_path / "a.nii.gz", tmp_path / "b.b.nii"]
    assert [path.name for path in picture_paths(volumes, slice_number=7)] == [
        "a-z007.saliency.png",
        "b.b-z007.saliency.png",
    ]


def test_a_slice_from_the_command_line(prepared):
    task, data, folder = prepared
    checkpoint = write_checkpoint(
        folder / "cli" / "seed-0" / "best.safetensors", data=str(data), image_size=SIDE
    )
    image, label = task / "imagesTr" / "vol_0.nii.gz", task / "labelsTr" / "vol_0.nii.gz"
    result = run(checkpoint, image, "--slice", 3, "--mask", label, "--out", folder / "pictures")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (folder / "pictures").iterdir()] == ["vol_0-z003.saliency.png"]
    assert "%" in result.stdout
    refused = run(checkpoint, image, "--slice", 6)
    assert refused.exit_code != 0
    assert "from 0 to 5" in " ".join(refused.stderr.split())


def test_a_dicom_is_cropped_to_its_middle_square_and_resized(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "run", mask_blur=0.0, described={"recipe": xray_recipe()})
    stored = np.zeros((4 * SIDE, 6 * SIDE), np.uint16)
    stored[: 2 * SIDE, SIDE : 5 * SIDE] = 1000
    path = write_dicom(tmp_path / "scan", stored)
    Image.fromarray((stored > 0).astype(np.uint8)).save(tmp_path / "mask.png")
    inputs = read_inputs(checkpoint, [path], tmp_path / "mask.png")
    half = torch.zeros(1, SIDE, SIDE)
    half[:, : SIDE // 2] = 1
    assert inputs.masks is not None
    assert torch.equal(inputs.masks, half.bool())
    assert inputs.images.dtype == torch.float32
    away = [row for row in range(SIDE) if abs(row - SIDE / 2 + 0.5) > 3]
    np.testing.assert_allclose(inputs.images[0, :, away], half[:, away], atol=0.01)


def test_a_dicom_is_seen_as_prepare_xray_stores_it(tmp_path):
    path = write_dicom(tmp_path / "scan", gradient(70, 50), PhotometricInterpretation="MONOCHROME1")
    checkpoint = tiny_checkpoint(tmp_path / "run", described={"recipe": xray_recipe()})
    inputs = read_inputs(checkpoint, [path])
    stored = to_stored(resized(read_intensities(path), SIDE))
    np.testing.assert_array_equal(inputs.images[0, 0], stored / np.float32(65535))


def test_a_run_that_crops_sees_the_middle_of_a_dicom_as_its_data_set_stores_it(tmp_path):
    path = write_dicom(tmp_path / "scan.dcm", gradient(40, 40))
    settings = {"image_size": SIDE, "mask": "circle", "mask_blur": 0.0}
    cropping = tiny_checkpoint(tmp_path / "run", described={"recipe": xray_recipe(40)}, **settings)
    inputs = read_inputs(cropping, [path])
    expected = gradient(40, 40) / gradient(40, 40).max()
    np.testing.assert_allclose(inputs.images[0, 0], expected[6:34, 6:34], atol=1e-5)
    assert inputs.masks is not None
    assert inputs.masks.shape == (1, SIDE, SIDE)


def test_an_old_checkpoint_reads_the_card_that_still_lies_there_and_says_so(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    path = write_dicom(tmp_path / "scan.dcm", gradient(40, 40))
    settings = {"data": str(data), "image_size": SIDE, "mask": "circle", "mask_blur": 0.0}
    old = tiny_checkpoint(tmp_path / "run", **settings)
    with pytest.raises(DataError, match="not known to be X-rays"):
        read_inputs(old, [path])
    (data / "card.json").write_text('{"source": "xray", "width": 40, "height": 40}')
    inputs = read_inputs(old, [path])
    expected = gradient(40, 40) / gradient(40, 40).max()
    np.testing.assert_allclose(inputs.images[0, 0], expected[6:34, 6:34], atol=1e-5)
    assert "does not carry how its images were made" in inputs.notes[0]


def test_a_network_of_released_intensities_takes_no_dicom(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/card.json").write_text('{"source": "xray", "intensity": "released"}')
    checkpoint = tiny_checkpoint(tmp_path / "run", data=str(tmp_path / "data"))
    path = write_dicom(tmp_path / "scan.dcm", gradient(40, 40))
    with pytest.raises(DataError, match=r"scan\.dcm is a DICOM file, which has no range but its own"):
        read_inputs(checkpoint, [path])


def test_a_mask_of_a_dicom_has_its_size(tmp_path):
    path = write_dicom(tmp_path / "scan.dcm", gradient(40, 30))
    mask = write_mask(tmp_path / "mask.png", 40, 31)
    with pytest.raises(DataError, match=r"mask\.png is of another size than its image"):
        read_inputs(tiny_checkpoint(tmp_path / "run", described={"recipe": xray_recipe()}), [path], mask)


def test_folders_hold_dicom_files_but_not_what_macos_leaves(tmp_path):
    path = write_dicom(tmp_path / "a.DCM", gradient())
    (tmp_path / "._a.dcm").write_bytes(b"junk")
    assert image_files([tmp_path]) == [path]


def test_dicom_files_from_the_command_line_keep_the_patient_to_themselves(tmp_path):
    place = tmp_path / "run" / "seed-0" / "best.safetensors"
    checkpoint = write_checkpoint(place, described={"recipe": xray_recipe()})
    for name in ("a.dcm", "b.dcm"):
        write_dicom(tmp_path / "in" / name, gradient(40, 30), PatientComments=PATIENT)
    result = run(checkpoint, tmp_path / "in", "--out", tmp_path / "out", "--raw", tmp_path / "out" / "r.npy")
    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "out").iterdir())
    names = [path.name for path in written]
    assert names == ["a.saliency.png", "b.saliency.png", "r.npy", "saliency.csv", "sheet.png"]
    write_dicom(tmp_path / "in" / "c.dcm", gradient(), NumberOfFrames=2)
    refused = run(checkpoint, tmp_path / "in", "--out", tmp_path / "out")
    assert refused.exit_code != 0
    assert "holds 2 frames" in " ".join(refused.stderr.split())
    texts = [path.read_bytes() for path in written]
    texts += [output.encode() for output in (result.stdout, result.stderr, refused.stdout, refused.stderr)]
    for word in (*PATIENT.split("^"), PATIENT_ID):
        assert not [text for text in texts if word.encode() in text]
