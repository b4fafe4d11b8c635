"""Training from arrays in memory: the same as from a data set of the same pictures, and what is refused."""

import numpy as np
import pytest
import torch
from in_process import told
from safetensors.torch import load_file

import activmask as am
from activmask.data.dataset import load_samples
from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.ground.errors import DataError, UsageError
from activmask.runs.making import make_config
from activmask.training.replicas.watcher import Silent

CPU = {"device": "cpu", "threads": 1}
SMALL = {"model": "cnn", "width": 4, "actdiff": 1.0, "batch_size": 8, "epochs": 2, **CPU}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set on disk, its rows in the order of their names."""
    folder = tmp_path_factory.mktemp("arrays")
    am.make_synthetic(SyntheticSpec(n=24, valid=12, test=12), str(folder / "d"))
    table = folder / "d/metadata.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *sorted(rows), ""]))
    return folder


@pytest.fixture(scope="module")
def arrays(place):
    """Bytes, masks, labels, subjects and splits of it, as a caller has them."""
    dataset = am.read_dataset(str(place / "d"))
    samples = load_samples(dataset, range(len(dataset)))
    images = (samples.images[:, 0].numpy() * 255).round().astype(np.uint8)
    return images, samples.masks[:, 0].numpy(), dataset.labels, dataset.subjects, dataset.splits


class StoppedAfterAnEpoch(Silent):
    def epoch(self, seed, row):
        raise KeyboardInterrupt


def weights(results):
    return [load_file(one.folder / f"{name}.safetensors") for one in results for name in ("best", "last")]


def same(some, others):
    return all(
        one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
        for one, other in zip(some, others, strict=True)
    )


@pytest.mark.process
@pytest.mark.parametrize("policy", ["given", "subject"])
def test_arrays_train_to_the_same_bits_as_a_data_set_of_the_same_pictures(place, arrays, tmp_path, policy):
    stored = make_config(data=str(place / "d"), split_policy=policy, **SMALL)
    on_disk = am.train(stored, seeds=[0, 1], out=tmp_path / "disk")
    data = arrays if policy == "given" else arrays[:4]
    held = am.train(make_config(**SMALL), seeds=[0, 1], out=str(tmp_path / "held"), data=data)
    assert same(weights(on_disk), weights(held))
    assert [one.metrics for one in held] == [one.metrics for one in on_disk]


@pytest.mark.process
def test_a_run_of_arrays_knows_them_again_and_is_judged_on_a_folder(place, arrays, tmp_path):
    config, out = make_config(**{**SMALL, "epochs": 1}), tmp_path / "run"
    am.train(config, out=out, data=arrays)
    [again] = am.train(config, out=out, data=tuple(map(torch.as_tensor, arrays[:3])) + arrays[3:])
    assert not again.trained
    other = (255 - arrays[0], *arrays[1:])
    with pytest.raises(UsageError, match="holds a finished run on other arrays"):
        am.train(config, out=out, data=other)
    more = make_config(**SMALL)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        am.train(more, out=stopped, data=arrays, progress=StoppedAfterAnEpoch())
    with pytest.raises(UsageError, match=r"has changed since .* began"):
        am.train(more, out=stopped, data=other, resume=True)
    on = am.train(more, out=stopped, data=arrays, resume=True)
    straight = am.train(more, out=out, data=arrays, resume=True)
    assert same(weights(on), weights(straight))
    gone = told("evaluate", out, cwd=tmp_path, code=3)
    assert "was trained on arrays, which went with the process that held them" in gone.stderr
    # The pictures that it was trained on are known by their pixels, wherever they lie.
    seen = told("evaluate", out, "--data", place / "d", "--split", "train", cwd=tmp_path, code=3)
    assert "training" in seen.stderr
    told("evaluate", out, "--data", place / "d", cwd=tmp_path)


def test_labels_that_are_texts_name_the_classes(arrays):
    images, masks, labels, subjects, splits = arrays
    named = np.where(labels == 1, "ill", "healthy")
    from activmask.data.arrays import held_images

    held = held_images((images, masks, named, subjects, splits))
    assert held.class_names == ("healthy", "ill")
    assert (held.samples.labels.numpy() == labels).all()
    assert held_images((images, None, labels, subjects)).class_names == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: a[:3], "must be \\(images, masks, labels, subjects\\)"),
        (lambda a: (a[0], a[1], a[2], None), "whom each image shows"),
        (lambda a: (a[0], a[1][:5], a[2], a[3]), "a mask, or None, for each of 48 images"),
        (lambda a: (a[0] / 255 * 2, a[1], a[2], a[3]), "must lie in \\[0, 1\\]"),
        (lambda a: (a[0], a[1], a[2][:5], a[3]), "a label for each of 48 images"),
        (lambda a: (*a[:3], ["one"] * 48, a[4]), "in two splits"),
        (lambda a: ([a[0][0], a[0][1][:5]] * 24, *a[1:]), "entries of one shape"),
        (lambda a: (a[0], 5, *a[2:]), "a mask, or None, for each of 48 images; found a int"),
        (lambda a: (*a[:3], 5), "one value of subjects for each of 48 images; found 5"),
        (lambda a: (*a[:2], a[2] + 1, *a[3:]), "without a gap, but no image has 0; found 1, 2"),
        (lambda a: (*a[:2], a[2] * 5, *a[3:]), "no image has 1; found 0, 5"),
        (lambda a: (*a[:2], [None, "ill", "well"] * 16, *a[3:]), "16 of 48 labels are missing values"),
        (lambda a: (*a[:2], [float("nan"), "ill"] * 24, *a[3:]), "24 of 48 labels are missing values"),
        (lambda a: (*a[:2], [float("inf"), 1.0] * 24, *a[3:]), "whole numbers or texts"),
        (lambda a: (*a[:3], [None, *a[3][1:]]), "1 of 48 images have no subject, the first image 0"),
        (lambda a: (*a[:3], [float("nan"), *a[3][1:]]), "1 of 48 images have no subject"),
        (lambda a: (*a[:3], ["Ann", "ann ", *a[3][2:]]), "differ in case, spaces .* 'Ann' and 'ann '"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(arrays, tmp_path, change, why):
    with pytest.raises((UsageError, DataError), match=why):
        am.train(make_config(**SMALL), out=tmp_path / "run", data=change(arrays))


def test_tensors_of_any_type_and_lists_of_them_are_the_arrays_that_they_hold(arrays):
    from activmask.data.arrays import held_images

    images, masks, labels, subjects, _ = arrays
    shares = torch.from_numpy(images) / 255
    expected = shares.bfloat16().float()
    given = shares.bfloat16(), torch.from_numpy(masks).bfloat16(), torch.from_numpy(labels).float(), subjects
    held = held_images(given).samples
    assert torch.equal(held.images[:, 0], expected)
    assert torch.equal(held.masks[:, 0], torch.from_numpy(masks))
    assert torch.equal(held.labels, torch.from_numpy(labels))
    learned = held_images(([one.requires_grad_() for one in shares], masks, labels, subjects)).samples
    assert torch.equal(learned.images[:, 0], shares)
    assert not learned.images.requires_grad


def test_a_description_that_names_other_data_is_refused(arrays, tmp_path):
    with pytest.raises(UsageError, match="data are given as arrays, and the description names"):
        am.train(make_config(data="elsewhere", **SMALL), out=tmp_path / "run", data=arrays)


@pytest.mark.process
def test_training_asks_for_gradients_itself_and_for_numbers_of_float32(arrays, tmp_path):
    config = am.make_config(model="cnn", width=4, epochs=1, split_policy="given", device="cpu")
    straight = am.train(config, out=tmp_path / "straight", data=arrays)
    with torch.no_grad():
        without = am.train(config, out=tmp_path / "without", data=arrays)
    assert same(weights(straight), weights(without))
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(UsageError, match="computes in float32, and torch's default is another"):
            am.train(config, out=tmp_path / "double", data=arrays)
    finally:
        torch.set_default_dtype(torch.float32)
