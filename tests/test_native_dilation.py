"""Masks grow by a length on the slice they were drawn on, whatever it was resized to."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_records import record
from hypothesis import given
from hypothesis import strategies as st
from msd_files import Decathlon
from organ_volumes import SCALES, organ, write_organs
from skimage.filters import gaussian
from skimage.transform import resize
from tiny_checkpoints import tiny_checkpoint

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.dilation import dilation_radius, stored_radii
from activmask.data.mask_shares import ShareTally, dilated_masks
from activmask.data.masks import dilate
from activmask.data.sources.msd.prepare import prepare_msd
from activmask.data.sources.presets import presets
from activmask.data.view import as_seen
from activmask.data.writer import write_dataset
from activmask.evaluation.batch import evaluate_checkpoint
from activmask.evaluation.mask_notes import mask_presence
from activmask.ground.errors import DataError
from activmask.runs.making import make_config
from activmask.runs.manifest import split_digests, table_entries
from activmask.runs.tensor_file import read_safetensors
from activmask.saliency.inputs import read_inputs
from activmask.training.feed.kept_masks import to_train_on
from activmask.training.feed.sources import load_splits, read_splits, split_rows
from activmask.training.feed.stream import open_stream
from activmask.training.run import train

RELEASED = {"liver": 0.33, "pancreas": 0.125, "cardiac": 0.137}
"""Mean share of the image inside the training mask of the paper's positive slices."""
SMALL = {"train_images": 2, "valid_images": 2, "test_images": 2, "model": "cnn", "width": 8, "epochs": 1}


def paper_share(mask: np.ndarray, sigma: float) -> float:
    """Blur the native slice, take anything above 0, resize to 110 px, crop to 100."""
    grown = gaussian(mask.astype(np.float64), sigma=sigma) > 0
    return float(resize(grown, (110, 110), order=0)[5:105, 5:105].mean())


@pytest.fixture(scope="module")
def organs(tmp_path_factory):
    """A function that prepares a task's simulated volumes once, and its folder of volumes."""
    made: dict[str, tuple[Path, Path]] = {}

    def prepared(task: str) -> tuple[Path, Path]:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            source = write_organs(folder, task)
            prepare_msd(source, folder / "data")
            made[task] = source, folder / "data"
        return made[task]

    return prepared


@pytest.mark.parametrize("task", RELEASED)
def test_the_presets_cover_what_the_released_code_covers(organs, task):
    sigma = presets()[task].settings["mask_blur"]
    papers = [paper_share(organ(task, scale), sigma) for scale in SCALES]
    assert np.mean(papers) == pytest.approx(RELEASED[task], abs=0.002)
    _, data = organs(task)
    dataset = read_dataset(data)
    positive = np.flatnonzero(dataset.labels == 1)
    # The released share is that of training, which crops, where evaluation sees whole slices.
    cropped = make_config(preset=task, data=str(data), evaluate_view="centre")
    seen = as_seen(load_samples(dataset, positive.tolist()), cropped.view)
    ours = seen.masks.flatten(1).double().mean(dim=1).numpy().reshape(-1, len(SCALES))
    assert np.abs(ours - papers).max() < 0.01
    assert ours.mean() == pytest.approx(RELEASED[task], abs=0.01)


@pytest.mark.parametrize(("task", "radius", "stored"), [("liver", 64, 14), ("cardiac", 32, 11)])
def test_a_mask_grows_by_the_released_radius_on_every_side(organs, task, radius, stored):
    assert dilation_radius(presets()[task].settings["mask_blur"]) == radius
    _, data = organs(task)
    dataset = read_dataset(data)
    side = int(dataset.native[0, 0])
    samples = load_samples(dataset, [int(np.flatnonzero(dataset.labels == 1)[0])])
    grown = dilate(samples.masks, presets()[task].settings["mask_blur"], samples.native)
    for axis in (2, 3):
        before, after = (
            torch.nonzero(one.any(dim=axis).flatten()).flatten() for one in (samples.masks, grown)
        )
        assert int(before[0] - after[0]) == int(after[-1] - before[-1]) == stored
        assert abs(stored - radius * 110 / side) <= 0.5
    card = json.loads((data / "card.json").read_text())
    assert card["mask_blur"]["radius_px"] == radius
    assert card["mask_blur"]["unit"] == "px of the native slice"


@pytest.mark.parametrize(
    ("sigma", "stored", "native", "radii"),
    [
        (16, (110, 110), (512, 512), (14, 14)),
        (16, (512, 512), (512, 512), (64, 64)),
        (8, (110, 110), (320, 320), (11, 11)),
        (16, (110, 110), (512, 256), (14, 28)),
        (0.5, (56, 56), (50, 50), (2, 2)),
        (0.5, (110, 110), (512, 512), (0, 0)),
        (0.25, (3, 1), (2, 2), (2, 1)),
    ],
)
def test_radii_by_hand(sigma, stored, native, radii):
    assert stored_radii(sigma, stored, np.array([native])).tolist() == [list(radii)]


@given(sigma=st.floats(0, 64), stored=st.integers(1, 600), native=st.integers(1, 2000))
def test_radii_are_right_to_half_a_stored_px(sigma, stored, native):
    [[rows, columns]] = stored_radii(sigma, (stored, stored), np.array([[native, native]]))
    assert rows == columns
    assert abs(rows - dilation_radius(sigma) * stored / native) <= 0.5


def test_masks_of_different_slices_each_grow_by_their_own_radius():
    masks = torch.from_numpy(np.random.default_rng(0).random((7, 1, 20, 24)) < 0.02)
    native = torch.tensor([[20, 24], [40, 24], [20, 24], [200, 240], [20, 6], [40, 24], [10, 12]])
    grown = dilate(masks, 0.8, native)
    for k, (radius_rows, radius_columns) in enumerate(stored_radii(0.8, (20, 24), native.numpy()).tolist()):
        alone = dilate(masks[k : k + 1], 0.8, native[k : k + 1])
        assert torch.equal(grown[k : k + 1], alone)
        by_scipy = dilated_masks(masks[k].numpy(), (radius_rows, radius_columns))
        assert np.array_equal(by_scipy, grown[k].numpy())
    assert len({tuple(pair) for pair in stored_radii(0.8, (20, 24), native.numpy()).tolist()}) == 5


def test_anisotropic_slices_grow_further_along_the_finer_axis(tmp_path):
    """Rows of 0.5 mm and columns of 1 mm: as many px of the slice are half as many mm."""
    label = np.zeros((60, 120, 2), np.uint8)
    label[30, 60, 1] = label[31, 60, 1] = 1
    task = Decathlon(tmp_path / "Task06_Lung")
    task.case("a", 100 * label.astype(np.int16), label, affine=np.diag([1.0, 0.5, 1, 1]))
    prepare_msd(task.root, tmp_path / "data", size=60, mask_blur=1.0)
    dataset = read_dataset(tmp_path / "data")
    assert dataset.native.tolist() == [[120, 60]] * 2
    samples = load_samples(dataset, [1])
    grown = dilate(samples.masks, 1.0, samples.native)[0, 0]
    inside = samples.masks[0, 0]
    assert int(grown.any(dim=1).sum()) == int(inside.any(dim=1).sum()) + 2 * 2
    assert int(grown.any(dim=0).sum()) == int(inside.any(dim=0).sum()) + 2 * 4


def test_classification_gradmask_and_classify_masked_are_three_methods(organs, tmp_path):
    """With masks that cover everything the three were one, to the bit."""
    _, data = organs("liver")
    methods = {"plain": {}, "gradmask": {"gradmask": 1.0}, "masked": {"classify_masked": "train"}}
    weights = []
    for name, method in methods.items():
        config = make_config(preset="liver", data=str(data), **{**SMALL, "epochs": 3}, **method)
        [result] = train(config, out=tmp_path / name)
        tensors, _ = read_safetensors(result.folder / "last.safetensors")
        weights.append(torch.cat([tensor.flatten() for tensor in tensors.values()]))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(weights[one], weights[other])
    written = json.loads((tmp_path / "gradmask/seed-0/run.json").read_text())
    assert written["mask_shares"]["full"] == 0
    assert 0.1 < written["mask_shares"]["mean"] < 0.5


def test_saliency_dilates_stored_images_and_volumes_as_evaluation_does(organs, tmp_path):
    source, data = organs("liver")
    settings = {"preset": "liver", "data": str(data), "side": 100}
    checkpoint = tiny_checkpoint(tmp_path / "run", **settings)
    dataset = read_dataset(data)
    row = [Path(name).stem for name in dataset.file_names].index("scan_1-z000")
    expected = as_seen(load_samples(dataset, [row]), checkpoint.config.view).masks[:, 0]
    volume, label = (source / folder / "scan_1.nii.gz" for folder in ("imagesTr", "labelsTr"))
    of_volume = read_inputs(checkpoint, [volume], label, slice_number=0).masks
    image, mask = data / dataset.file_names[row], data / dataset.mask_file_names[row]
    of_stored = read_inputs(checkpoint, [image], mask).masks
    assert torch.equal(of_volume, expected)
    assert torch.equal(of_stored, expected)
    moved = tmp_path / "elsewhere" / "slice.png"
    moved.parent.mkdir()
    moved.write_bytes(image.read_bytes())
    with pytest.raises(DataError, match=r"does not say of how many px the slice of slice\.png was"):
        read_inputs(checkpoint, [moved], mask)
    assert read_inputs(checkpoint, [moved]).masks is None


@pytest.fixture
def old_set(organs, tmp_path) -> Path:
    """The liver's data set as earlier versions wrote it."""
    _, data = organs("liver")
    old = tmp_path / "old"
    old.mkdir()
    for name in ("images", "masks"):
        shutil.copytree(data / name, old / name)
    shutil.copy(data / "card.json", old)
    lines = (data / "metadata.csv").read_text().splitlines()
    (old / "metadata.csv").write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in lines))
    return old


def test_an_old_data_set_is_never_dilated_at_the_wrong_resolution(old_set, tmp_path):
    settings = {"preset": "liver", "data": str(old_set), **SMALL}
    with pytest.raises(
        DataError, match=r"counts px of the original slice, but .*prepare it anew with prepare-msd"
    ):
        train(make_config(**settings, actdiff=1.0), out=tmp_path / "refused")
    [result] = train(make_config(**settings), out=tmp_path / "plain")
    audit = evaluate_checkpoint(result.folder / "best.safetensors").evaluation.audit
    assert "did not record of how many px each slice was" in str(audit.reason)
    with pytest.raises(DataError, match="prepare it anew"):
        load_splits(make_config(**settings, classify_masked="all"), 0)
    undilated = load_splits(make_config(**settings, mask_blur=0.0), 0)["test"]
    assert undilated.has_mask.any()
    # What the masks' presence told an old run is still known, though they cannot be dilated.
    plain = {**settings, "preset": "synthetic", "split_policy": "subject"}
    looking = make_config(**plain, actdiff=1.0, mask_blur=16.0)
    seen = load_splits(looking, 0)["test"]
    assert not seen.has_mask.any()
    found, notes = mask_presence(tmp_path / "old.safetensors", looking, seen, old_set)
    assert found is not None
    assert found.auc == 1
    assert "dilated by px of the stored image" in notes[-1]


def test_streams_dilate_by_the_native_sides_and_know_them_again(organs):
    _, data = organs("liver")
    config = make_config(preset="liver", data=str(data), **SMALL, actdiff=1.0)
    dataset = read_dataset(data)
    rows, view, objectives = split_rows(config.source, dataset, 0), config.view, config.objectives
    stream = open_stream(dataset, rows, view, objectives, seed=0, device=torch.device("cpu"), count=0)
    [(_, masks)] = stream.train.images.read([torch.arange(2)])
    resident = read_splits(dataset, rows, view, objectives)["train"]
    assert torch.equal(masks, to_train_on(resident, view, 0, "data").masks)
    finer = replace(dataset, native=2 * dataset.native)
    own, other = (split_digests(table_entries(which, rows)) for which in (dataset, finer))
    assert all(own[split] != other[split] for split in own)


def test_sigma_counts_stored_px_where_no_slice_was_resized(tmp_path):
    write_dataset(tmp_path / "set", [record(k) for k in range(6)], card={"source": "folder"}, mask_blur=0.5)
    dataset = read_dataset(tmp_path / "set")
    assert dataset.native is None
    samples = load_samples(dataset, range(6))
    assert torch.equal(dilate(samples.masks, 0.5, samples.native), dilate(samples.masks, 0.5))
    assert dataset.card["mask_shares"]["unit"] == "px of the stored image"


@pytest.mark.parametrize(
    ("cells", "message"),
    [("5,", "native_width must be"), ("0,5", "found '0'"), ("5.5,6", "found '5.5'"), ("-1,6", "found '-1'")],
)
def test_native_sides_are_whole_numbers_in_every_row(tmp_path, cells, message):
    made = [replace(record(k), native=(50, 60)) for k in range(4)]
    write_dataset(tmp_path / "set", made, card={})
    assert read_dataset(tmp_path / "set").native.tolist() == [[50, 60]] * 4
    table = tmp_path / "set/metadata.csv"
    lines = table.read_text().splitlines()
    lines[2] = lines[2].rsplit(",", 2)[0] + "," + cells
    table.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"metadata\.csv, row 3: .*{message}"):
        read_dataset(tmp_path / "set")


def test_shares_are_counted_in_the_memory_of_a_few_masks(monkeypatch):
    monkeypatch.setattr("activmask.data.mask_shares._PIXELS_TOGETHER", 3 * 30)
    rng = np.random.default_rng(1)
    masks = rng.random((20, 5, 6)) < 0.1
    masks[0], masks[1] = False, True
    tally, most = ShareTally(0.5), 0
    for mask in masks:
        tally.add(mask, None)
        most = max(most, len(tally._waiting))
    tally.add(None, None)
    found = tally.result()
    assert most == 3
    assert found.without_mask == 1
    assert (found.stored.empty, found.stored.full) == (int((~masks.any((1, 2))).sum()), 1)
    expected = dilate(torch.from_numpy(masks)[:, None], 0.5).flatten(1).double().mean(dim=1)
    assert found.dilated.mean == pytest.approx(float(expected.mean()))
    assert found.dilated.median == pytest.approx(float(np.median(expected)))
    assert found.dilated.full == int((expected == 1).sum())
