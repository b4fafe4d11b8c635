"""A source of images is one entry and one line: a toy is found everywhere by being listed once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from activmask_cli.app import app
from in_process import told
from tiny_checkpoints import write_checkpoint

from activmask.data.files.images import from_stored, to_stored
from activmask.data.raw_files import RawImage
from activmask.data.recipe import recipe_differences
from activmask.data.source import DataSource, PresetValues
from activmask.data.sources import SOURCES
from activmask.data.writer import Record, write_dataset
from activmask.ground.errors import DataError, UsageError
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.making import make_config
from activmask.runs.names import run_name
from activmask.saliency.inputs import image_files, read_inputs

SIDE = 16


def read(how, path, mask, _number):
    """A table of numbers from 0 to 9, and one of zeros and ones as its mask."""
    if how.source != "plots":
        raise DataError(
            f"{path} is a plot, but {how.network} was trained on {how.images or 'something else'}"
        )
    return RawImage(
        pixels=from_stored(to_stored(np.loadtxt(path) / how.recipe["recipe"]["most"])),
        inside=None if mask is None else np.loadtxt(mask) > 0,
    )


PLOTS = DataSource(
    command="prepare-plots",
    images="plots",
    presets={
        "garden": PresetValues(
            settings={"data": "data/garden", "lr": 0.02, "epochs": 2, "mask_blur": 0.0},
            convnet_width=3,
            recon_weight=7.0,
        )
    },
    suffixes=(".plot",),
    read=read,
)


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    monkeypatch.setitem(SOURCES, "plots", PLOTS)


def write_plot(path, seed=0, values=9):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, np.random.default_rng(seed).integers(0, values + 1, (SIDE, SIDE)), "%d")
    return path


@pytest.fixture
def garden(tmp_path):
    """A run of the toy's preset, trained on a data set that says it is of the toy."""
    rng = np.random.default_rng(0)
    inside = np.zeros((SIDE, SIDE), np.bool_)
    inside[4:9, 4:9] = True
    records = [
        Record(f"{i:02d}", to_stored(rng.random((SIDE, SIDE))), inside, i % 2, f"{i}", "", split)
        for split, first in (("train", 0), ("valid", 8), ("test", 16))
        for i in range(first, first + 8)
    ]
    write_dataset(tmp_path / "data" / "garden", records, card={"source": "plots", "recipe": {"most": 9}})
    told("train", "--preset", "garden", "--model", "ae", "--device", "cpu", cwd=tmp_path)
    return tmp_path / "runs" / "garden-ae" / "seed-0"


def test_its_preset_is_a_choice_with_its_values(tmp_path):
    text = " ".join(told("train", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    refused = told("train", "--preset", "gardn", cwd=tmp_path, code=2)
    assert "'xray', 'garden'" in " ".join(refused.output.replace("│", " ").split())
    assert "0.02 in garden" in text
    assert "3 in garden" in text
    text = told("train", "--preset", "garden", "--model", "unet", "--dry-run", cwd=tmp_path).stdout
    for line in ('data = "data/garden"', "lr = 0.02", "epochs = 2", "width = 3", "recon = 7.0"):
        assert line in text.splitlines()
    assert run_name(make_config(preset="garden", model="unet")) == "garden-unet"
    with pytest.raises(UsageError, match=r"no preset 'gardn'; did you mean 'garden'\?"):
        make_config(preset="gardn")


def test_its_raw_files_are_explained(garden, tmp_path):
    checkpoint = garden / "best.safetensors"
    assert load_checkpoint(checkpoint).recipe["source"] == "plots"
    plot, mask = write_plot(tmp_path / "a.plot"), write_plot(tmp_path / "masks" / "a.plot", values=1)
    result = told("saliency", checkpoint, plot, "--mask", mask, "--raw", "raw.npy", cwd=tmp_path)
    assert "a.plot" in result.stdout
    assert np.load(tmp_path / "raw.npy", allow_pickle=False).shape == (SIDE, SIDE)
    assert (tmp_path / "a.saliency.png").is_file()
    inputs = read_inputs(load_checkpoint(checkpoint), [plot], tmp_path / "masks")
    torch.testing.assert_close(
        inputs.images[0, 0], torch.tensor(np.loadtxt(plot) / 9).float(), atol=1e-4, rtol=0
    )
    assert torch.equal(inputs.masks[0], torch.tensor(np.loadtxt(mask) > 0))


def test_its_raw_files_are_images_of_a_folder(garden, tmp_path):
    wanted = [write_plot(tmp_path / "plots" / f"{k}.plot", k) for k in range(2)]
    assert image_files([tmp_path / "plots"]) == wanted
    assert len(read_inputs(load_checkpoint(garden / "best.safetensors"), wanted).images) == 2


def test_its_raw_files_are_not_for_other_networks(tmp_path):
    recipe = {"described": {"recipe": {"source": "xray", "width": 28, "height": 28}}}
    checkpoint = load_checkpoint(write_checkpoint(tmp_path / "best.safetensors", **recipe))
    with pytest.raises(DataError, match=r"is a plot, but .* was trained on X-rays"):
        read_inputs(checkpoint, [write_plot(tmp_path / "a.plot")])


def test_what_it_decided_is_known_to_the_network_and_compared(garden):
    recipe = load_checkpoint(garden / "best.safetensors").recipe
    assert recipe["recipe"] == {"most": 9}
    assert recipe_differences(recipe, recipe | {"recipe": {"most": 9}}) == []
    [difference] = recipe_differences(recipe, recipe | {"recipe": {"most": 7}})
    assert difference == 'recipe is {"most": 7}, the run\'s {"most": 9}'


def test_its_files_may_be_volumes(garden, monkeypatch, tmp_path):
    def read_slice(how, path, mask, number):
        return replace(read(how, path, mask, None), pixels=np.full((SIDE, SIDE), number / 9, np.float32))

    monkeypatch.setitem(SOURCES, "plots", replace(PLOTS, volumes=True, read=read_slice))
    plot, checkpoint = write_plot(tmp_path / "a.plot"), load_checkpoint(garden / "best.safetensors")
    assert read_inputs(checkpoint, [plot], slice_number=3).images.unique().tolist() == [pytest.approx(1 / 3)]
    with pytest.raises(UsageError, match=r"a\.plot is a volume; give the number of the axial slice"):
        read_inputs(checkpoint, [plot])
    with pytest.raises(
        UsageError, match=r"no NIfTI volume \(\.nii, \.nii\.gz or \.plot\), so it has no slice 3"
    ):
        read_inputs(checkpoint, [tmp_path / "a.png"], slice_number=3)


@pytest.mark.process
def test_masks_of_slices_need_to_know_their_grid(garden, monkeypatch, tmp_path):
    """As those of volumes do: a blur in px of slices says nothing without their size."""
    monkeypatch.setitem(SOURCES, "plots", replace(PLOTS, native_slices=True))
    told(
        "train", "--preset", "garden", "--mask-blur", "2", "--out", "blurred", "--device", "cpu", cwd=tmp_path
    )
    checkpoint = load_checkpoint(tmp_path / "blurred" / "seed-0" / "best.safetensors")
    plot, mask = write_plot(tmp_path / "a.plot"), write_plot(tmp_path / "masks" / "a.plot", values=1)
    with pytest.raises(DataError, match=r"px the slice of a\.plot was .*where prepare-plots stored it"):
        read_inputs(checkpoint, [plot], mask)


def test_every_source_of_the_package_has_its_command(monkeypatch):
    monkeypatch.undo()
    names = {command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert {one.command for one in SOURCES.values()} <= names
