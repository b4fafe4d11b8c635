"""Training on data that stays on disk: the same bits as in memory, and failures in one sentence."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_records import record
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_settings import OBJECTIVES
from test_training import assert_same_run, small

from activmask.data.dataset import read_dataset
from activmask.data.samples import Samples
from activmask.data.writer import write_dataset
from activmask.ground.errors import DataError, UsageError
from activmask.machine.world import World
from activmask.runs.description import changed
from activmask.runs.making import make_config
from activmask.training.feed import stream as stream_module
from activmask.training.feed.kept_masks import to_train_on
from activmask.training.feed.sources import as_judged, read_splits, split_rows
from activmask.training.feed.stream import StreamedSamples, batches, file_digest, open_stored, open_stream
from activmask.training.feed.workers import MOST_WORKERS, worker_count
from activmask.training.replicas import advance as advance_module
from activmask.training.replicas import epoch as epoch_module
from activmask.training.replicas.epoch import training_steps
from activmask.training.replicas.predictions import predict
from activmask.training.replicas.replica import new_replica
from activmask.training.run import train

CPU = torch.device("cpu")
RUNS = {
    "plain": {"eval_train": True},
    "share of masks": {**OBJECTIVES["share of masks"], "batch_size": 20},
    "crop and flip": OBJECTIVES["crop and flip"],
    "changed by words": OBJECTIVES["changed by words"],
    "middle": {**OBJECTIVES["gradmask"], "image_size": 24},
    "classify masked everywhere": OBJECTIVES["classify masked everywhere"],
    "circle": {**OBJECTIVES["share of masks"], "mask": "circle", "mask_blur": 0.0},
    "practice": {**OBJECTIVES["practice"], **OBJECTIVES["reconstruct masked"]},
    "drawn alike": OBJECTIVES["drawn alike"],
    "dropout": OBJECTIVES["dropout"],
}

IN_A_WORKER = pytest.param(1, marks=pytest.mark.process)


@pytest.fixture
def streaming(monkeypatch):
    """Make every data set on disk stream, read by so many processes."""

    def stream(count: int) -> None:
        monkeypatch.setattr(stream_module, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(stream_module, "worker_count", lambda threads, world: count)

    return stream


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Square images of 16 bits, a third of them without a mask."""
    rng = np.random.default_rng(2)
    shape = (20, 20)
    folder = tmp_path_factory.mktemp("data") / "scans"
    rows = [
        record(
            i,
            image=rng.integers(0, 2**16, shape, dtype=np.uint16),
            mask=rng.random(shape) > 0.97 if i % 3 else None,
        )
        for i in range(36)
    ]
    write_dataset(folder, rows, card={})
    return folder


def opened(data: Path, count: int = 0, **changes):
    """A stream of a data set and the same splits in memory."""
    config = make_config(**{"data": str(data), "model": "cnn", "actdiff": 1.0, **changes})
    dataset = read_dataset(data)
    rows, view, objectives = split_rows(config.source, dataset, 0), config.view, config.objectives
    stream = open_stream(dataset, rows, view, objectives, seed=0, device=CPU, count=count)
    return stream, read_splits(dataset, rows, view, objectives), config


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "count"),
    [
        *((name, 0) for name in RUNS),
        *(pytest.param(name, 1, marks=pytest.mark.process) for name in ("share of masks", "dropout")),
    ],
)
def test_streamed_training_gives_the_bits_of_training_in_memory(crosses, tmp_path, streaming, name, count):
    config = small(crosses, epochs=2, **RUNS[name])
    [resident] = train(config, out=tmp_path / "resident")
    streaming(count)
    [streamed] = train(config, out=tmp_path / "streamed")
    assert_same_run(resident.folder, streamed.folder)


@pytest.mark.process
def test_a_streamed_run_resumes_to_the_same_bits(crosses, tmp_path, streaming, monkeypatch):
    config = small(crosses, actdiff=1.0, augment="crop-flip", image_size=24, masks=0.5)
    [straight] = train(config, out=tmp_path / "straight")
    streaming(1)

    def interrupt_in_the_last_epoch(replica, on_step):
        steps = training_steps(replica)
        if replica.next_epoch == 2:
            next(steps)
            raise KeyboardInterrupt
        return epoch_module.train_epoch(replica, on_step)

    with monkeypatch.context() as patch:
        patch.setattr(advance_module, "train_epoch", interrupt_in_the_last_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "resumed")
    [resumed] = train(config, out=tmp_path / "resumed", resume=True)
    assert_same_run(straight.folder, resumed.folder)


@pytest.mark.process
def test_streamed_replicas_do_not_depend_on_each_other(crosses, tmp_path, streaming):
    config = small(crosses, actdiff=1.0, epochs=1)
    train(config, seeds=(0, 1), out=tmp_path / "resident")
    streaming(1)
    train(config, seeds=(0, 1), out=tmp_path / "streamed")
    for seed in ("seed-0", "seed-1"):
        assert_same_run(tmp_path / "resident" / seed, tmp_path / "streamed" / seed)


@pytest.mark.process
def test_worker_processes_leave_the_global_generators_alone(crosses):
    before = torch.get_rng_state()
    stream, _, _ = opened(crosses, count=1)
    assert len(list(stream.splits["valid"].images.split(5))) == 4
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "changes",
    [
        {"masks": 0.4},
        {"actdiff": 0.0, "image_size": 16},
        {"augment": "crop-flip", "image_size": 16},
        {"image_size": 16, "evaluate_view": "whole"},
    ],
    ids=str,
)
@settings(max_examples=6)
@given(data=st.data())
def test_any_batches_are_those_in_memory(scans, changes, data):
    stream, stored, config = opened(scans, **changes)
    train = to_train_on(stored["train"], config.view, 0, "scans")
    number = st.integers(0, len(train) - 1)
    order = [torch.tensor(batch) for batch in data.draw(st.lists(st.lists(number, min_size=1), min_size=1))]
    for (images, masks, labels), picked in zip(batches(stream.train, order, CPU), order, strict=True):
        assert torch.equal(images, train.images[picked])
        assert torch.equal(labels, train.labels[picked])
        inside = train.masks[picked] if config["actdiff"] else torch.ones_like(masks)
        assert torch.equal(masks, inside)
    assert stream.train.images.shape == train.images.shape


@pytest.mark.parametrize(
    ("choice", "count", "view"),
    [pytest.param("off", 2, "centre", marks=pytest.mark.process), ("all", 0, "centre"), ("all", 0, "whole")],
)
def test_every_split_is_judged_on_the_images_in_memory(scans, choice, count, view):
    seen_as = {"image_size": 16, "evaluate_view": view}
    stream, stored, config = opened(scans, count, classify_masked=choice, actdiff=0.0, **seen_as)
    for name, samples in stream.splits.items():
        seen = as_judged(stored[name], config.view, config.objectives)
        assert torch.equal(torch.cat(list(samples.images.split(5))), seen.images)
        assert samples.images.shape == seen.images.shape
        assert torch.equal(samples.labels, seen.labels)


def test_only_a_data_set_above_the_limit_streams(crosses, monkeypatch):
    config = small(crosses)
    exact = (48 + 16 + 16) * 28 * 28 * 5
    monkeypatch.setattr(stream_module, "RESIDENT_BYTES", exact)
    assert isinstance(new_replica(config, 0, crosses, CPU).train, Samples)
    monkeypatch.setattr(stream_module, "RESIDENT_BYTES", exact - 1)
    assert isinstance(new_replica(config, 0, crosses, CPU).train, StreamedSamples)
    drawn = changed(config, data="synthetic")
    assert isinstance(new_replica(drawn, 0, crosses, CPU).train, Samples)


def test_nothing_is_read_before_it_is_asked_for(scans, monkeypatch):
    stream, _, _ = opened(scans)
    read = []
    loaded = stream.train.images.workers.reader.__class__.__getitem__
    monkeypatch.setattr(
        "activmask.training.feed.workers.Reader.__getitem__",
        lambda reader, request: read.append(len(request.rows)) or loaded(reader, request),
    )
    order = torch.arange(len(stream.train)).split(4)
    steps = batches(stream.train, order, CPU)
    next(steps)
    assert read == [4]
    next(steps)
    assert read == [4, 4]


def test_masks_that_nothing_looks_at_are_not_opened(scans, tmp_path):
    shutil.copytree(scans, tmp_path / "scans")
    plain, _, _ = opened(tmp_path / "scans", actdiff=0.0)
    masked, _, _ = opened(tmp_path / "scans")
    shutil.rmtree(tmp_path / "scans" / "masks")
    order = [torch.arange(4)]
    assert len(list(batches(plain.train, order, CPU))) == 1
    assert len(list(masked.splits["valid"].images.split(4))) > 1
    with pytest.raises(DataError, match="masks"):
        list(batches(masked.train, order, CPU))


@pytest.mark.parametrize("count", [0, IN_A_WORKER])
def test_a_file_that_went_missing_is_named_in_one_sentence(scans, tmp_path, count):
    shutil.copytree(scans, tmp_path / "scans")
    stream, _, _ = opened(tmp_path / "scans", count)
    gone = stream.train.images.workers.reader.train_table.file_names[int(stream.train.images.rows[5])]
    (tmp_path / "scans" / gone).unlink()
    with pytest.raises(DataError) as caught:
        list(batches(stream.train, torch.arange(12).split(4), CPU))
    assert str(caught.value) == (
        f"{tmp_path / 'scans' / gone} does not exist or is not a file; expected an image"
    )


@pytest.mark.process
def test_a_killed_worker_is_told_in_one_sentence(crosses, streaming):
    streaming(1)
    replica = new_replica(small(crosses, batch_size=2), 0, crosses, CPU)
    steps = training_steps(replica)
    next(steps)
    [worker] = replica.train.images.workers.loader._iterator._workers
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(DataError, match=r"was killed.*resume the run"):
        list(steps)


def test_a_folder_for_temporary_files_with_too_long_a_name_is_a_sentence(crosses, streaming):
    def refused(_):
        raise OSError("AF_UNIX path too long")

    streaming(0)
    images = new_replica(small(crosses, batch_size=2), 0, crosses, CPU).train.images
    workers = replace(images.workers, loader=type("Loader", (), {"__iter__": refused})())
    with pytest.raises(DataError, match=r"too long a name for the sockets.*; set TMPDIR to a shorter one"):
        list(replace(images, workers=workers).split(2))


@pytest.mark.parametrize("count", [0, IN_A_WORKER])
def test_an_abandoned_pass_does_not_reach_into_the_next(crosses, streaming, count):
    config = small(crosses, batch_size=4)
    resident = new_replica(config, 0, crosses, CPU)
    streaming(count)
    replica = new_replica(config, 0, crosses, CPU)
    steps = training_steps(replica)
    next(steps)
    steps.close()
    next(training_steps(resident))
    expected = predict(resident.model, resident.splits["valid"].images)
    assert torch.equal(predict(replica.model, replica.splits["valid"].images), expected)


@pytest.mark.process
def test_two_passes_at_once_are_refused(crosses):
    stream, _, _ = opened(crosses, count=1)
    one = stream.splits["valid"].images.split(4)
    next(one)
    next(stream.splits["test"].images.split(4))
    with pytest.raises(AssertionError, match="another pass"):
        next(one)


def test_the_digest_knows_the_files_again_wherever_they_lie(scans, tmp_path):
    shutil.copytree(scans, tmp_path / "copy")
    stream, _, _ = opened(scans)
    copy, _, _ = opened(tmp_path / "copy")
    assert file_digest(stream.train) == file_digest(copy.train)
    assert file_digest(stream.train) != file_digest(stream.splits["valid"])


@pytest.mark.parametrize("column", ["file_names", "mask_file_names"])
def test_the_digest_sees_a_changed_file(scans, tmp_path, column):
    shutil.copytree(scans, tmp_path / "copy")
    stream, _, _ = opened(tmp_path / "copy")
    before, table = file_digest(stream.train), stream.train.images.workers.reader.train_table
    names = [getattr(table, column)[row] for row in stream.train.images.rows.tolist()]
    changed, other = [tmp_path / "copy" / name for name in names if name][:2]
    changed.write_bytes(other.read_bytes())
    assert file_digest(stream.train) != before


def test_a_run_on_a_changed_stream_cannot_be_resumed(scans, tmp_path, streaming):
    shutil.copytree(scans, tmp_path / "scans")
    streaming(0)
    train(small(tmp_path / "scans", epochs=1), out=tmp_path / "run")
    images = sorted((tmp_path / "scans" / "images").iterdir())
    images[0].write_bytes(images[1].read_bytes())
    with pytest.raises(UsageError, match="has changed since"):
        train(small(tmp_path / "scans", epochs=2), out=tmp_path / "run", resume=True)


def test_a_stream_is_checked_like_data_in_memory(crosses, streaming):
    streaming(0)
    config = small(crosses, image_size=64)
    with pytest.raises(DataError, match="smaller than image_size 64"):
        open_stored(config.source, config.view, config.objectives, 0, device=CPU)


@pytest.mark.parametrize(
    ("cores", "size", "threads", "expected"),
    [(1, 1, 0, 0), (2, 1, 0, 1), (2, 2, 0, 0), (64, 1, 0, 8), (16, 4, 0, 3), (16, 1, 1, 0), (2, 1, 9, 1)],
)
def test_one_core_of_the_share_is_left_for_training(monkeypatch, cores, size, threads, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert worker_count(threads, World(size=size)) == expected <= MOST_WORKERS
