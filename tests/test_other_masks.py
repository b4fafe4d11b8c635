"""Training with masks that are elsewhere or of poorer quality: geometry, draws, and what judges such runs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from in_process import told
from test_mask_facts import SIDE, block, config, held, stored_train, stream, write  # noqa: F401
from test_training import assert_same_run

from activmask.data.other_masks import anywhere, aside, derangement, moved, overlap, resized_by
from activmask.data.settings import View, with_given_masks
from activmask.ground.errors import DataError, UsageError
from activmask.runs.description import changed, written
from activmask.runs.making import make_config, written_config
from activmask.runs.names import baseline, is_baseline, method_name, run_name
from activmask.training.feed.kept_masks import to_train_on, training_masks
from activmask.training.feed.sources import load_splits
from activmask.training.replicas.replica import new_replica
from activmask.training.run import train

CONTROLS: dict[str, dict[str, object]] = {
    "random": {"train_masks": "random"},
    "other": {"train_masks": "other"},
    "shifted": {"mask_shift": 0.25},
    "grown": {"mask_grow": 0.1},
    "shrunk": {"mask_grow": -0.07},
    "all at once": {"train_masks": "other", "mask_shift": 0.2, "mask_grow": 0.07},
}
EACH = [pytest.param(settings, id=name) for name, settings in CONTROLS.items()]


@pytest.fixture(scope="module")
def lesions(tmp_path_factory) -> Path:
    """Masks of many places and areas; every fifth image has none."""
    masks = [None if k % 5 == 4 else block(k * 3 % 11, k * 7 % 9, 3 + k % 4) for k in range(36)]
    return write(tmp_path_factory.mktemp("lesions") / "set", masks)


def looking(data: Path, **settings):
    return config(data, **{"actdiff": 1.0, **settings})


def trained_on(chosen, seed: int = 0):
    return to_train_on(stored_train(chosen), chosen.view, seed, "lesions")


def beside(data: Path, **settings):
    """What training sees under a control, and without it."""
    ours = looking(data, **settings)
    theirs = changed(ours, train_masks="given", mask_shift=0.0, mask_grow=0.0)
    return trained_on(ours), trained_on(theirs)


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(shape=shapes, seed=st.integers(0, 999), data=st.data())
def test_moved_masks_keep_area_and_shape(shape, seed, data):
    rng = np.random.default_rng(seed)
    masks = torch.from_numpy(rng.random((5, 1, *shape)) < 0.4)
    moves = data.draw(st.sampled_from([anywhere(5, rng), aside(5, 0.5, rng)]))
    found = moved(masks, moves)
    for before, after, (down, right) in zip(masks, found, moves.tolist(), strict=True):
        px = [math.floor(part * side + 0.5) for part, side in zip((down, right), shape, strict=True)]
        assert torch.equal(after, before.roll(px, dims=(1, 2)))


def test_masks_are_moved_a_few_at_a_time_alike(monkeypatch):
    rng = np.random.default_rng(3)
    masks, moves = torch.from_numpy(rng.random((9, 1, 6, 6)) < 0.5), anywhere(9, rng)
    at_once = moved(masks, moves), resized_by(masks, 1)
    monkeypatch.setattr("activmask.data.other_masks._PIXELS_AT_ONCE", 2 * 36)
    assert torch.equal(moved(masks, moves), at_once[0])
    assert torch.equal(resized_by(masks, 1), at_once[1])


def test_a_mask_moved_anywhere_makes_every_pixel_as_likely():
    corner = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    corner[..., :2, :2] = True
    draws = 20_000
    share = (
        moved(corner.expand(draws, -1, -1, -1), anywhere(draws, np.random.default_rng(0))).double().mean(0)
    )
    assert (share - 4 / 20).abs().max() < 5 * math.sqrt(0.2 * 0.8 / draws)


def test_a_mask_moved_aside_goes_its_distance_in_every_direction():
    moves = aside(4000, 0.25, np.random.default_rng(0))
    assert torch.allclose(moves.norm(dim=1), torch.full((4000,), 0.25, dtype=torch.float64))
    assert moves.mean(dim=0).abs().max() < 0.02


def test_masks_grow_and_shrink_by_whole_pixels_worked_out_by_hand():
    masks = torch.zeros(2, 1, 7, 7, dtype=torch.bool)
    masks[0, 0, 2:5, 2:5] = True
    masks[1] = True
    grown, shrunk = resized_by(masks, 1), resized_by(masks, -1)
    assert grown[0].sum() == 25
    assert grown[0, 0, 1:6, 1:6].all()
    assert shrunk[0].sum() == 1
    assert shrunk[0, 0, 3, 3]
    assert grown[1].all()
    assert shrunk[1].all()


@given(count=st.integers(2, 12), seed=st.integers(0, 9999))
def test_a_derangement_leaves_nobody_its_own(count, seed):
    drawn = derangement(count, np.random.default_rng(seed))
    assert sorted(drawn.tolist()) == list(range(count))
    assert not (drawn == torch.arange(count)).any()


def test_every_derangement_is_as_likely():
    rng = np.random.default_rng(0)
    drawn = [tuple(derangement(4, rng).tolist()) for _ in range(9000)]
    counts = np.unique(np.array(drawn), axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert abs(counts - 1000).max() < 5 * math.sqrt(1000)


def test_the_overlap_worked_out_by_hand():
    inside, common = np.array([[4, 4], [2, 6], [0, 0], [3, 0]]), np.array([4, 1, 0, 0])
    found = overlap(inside, common, 16)
    assert found.masks == 3
    assert found.mean_iou == pytest.approx((1 + 1 / 7 + 0) / 3)
    assert found.chance_iou == pytest.approx((1 / 7 + 0.75 / 7.25 + 0) / 3)
    assert overlap(inside[:0], common[:0], 16).mean_iou is None


@pytest.mark.parametrize(
    "seen", [{}, {"mask_blur": 0.0}, {"image_size": 10}, {"image_size": 9, "evaluate_view": "whole"}], ids=str
)
def test_random_masks_have_the_area_of_the_given_ones_to_the_pixel(lesions, seen):
    ours, theirs = beside(lesions, train_masks="random", **seen)
    assert torch.equal(ours.masks.sum(dim=(1, 2, 3)), theirs.masks.sum(dim=(1, 2, 3)))
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.has_mask, theirs.has_mask)
    assert ours.masks[~ours.has_mask].all()
    assert not torch.equal(ours.masks, theirs.masks)


def test_random_masks_have_that_area_where_random_crops_are_taken_of_them(lesions):
    ours, theirs = beside(lesions, train_masks="random", augment="crop-flip", image_size=10)
    assert ours.masks.shape[-1] == SIDE
    assert torch.equal(ours.masks.sum(dim=(1, 2, 3)), theirs.masks.sum(dim=(1, 2, 3)))


@pytest.mark.parametrize("more", [{}, {"masks": 0.5}, {"masks_without": "borrowed"}], ids=str)
def test_under_other_nobody_that_has_a_mask_shows_its_own(lesions, more):
    stored = stored_train(looking(lesions))
    of = {which: View(train_masks=which, **more) for which in ("given", "other")}
    drawn = {
        which: training_masks(stored.labels, stored.has_mask, view, 0, "set") for which, view in of.items()
    }
    kept, shown = drawn["other"]
    assert torch.equal(kept, drawn["given"][0])
    owners = kept & stored.has_mask
    own = torch.arange(len(kept))
    assert not (shown == own)[owners].any()
    assert sorted(shown[owners].tolist()) == own[owners].tolist()
    assert torch.equal(shown[~owners], drawn["given"][1][~owners])


def test_masks_of_others_are_refused_where_there_are_none(tmp_path):
    data = write(tmp_path / "set", [block(3, 3), *[None] * 11])
    with pytest.raises(DataError, match="needs at least two training images with a mask, found 1"):
        trained_on(looking(data, train_masks="other"))


@pytest.mark.parametrize("settings", EACH)
def test_masks_are_drawn_once_for_a_seed(lesions, settings):
    chosen = looking(lesions, **settings)
    one, again, another = (trained_on(chosen, seed).masks for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert torch.equal(one, another) == (set(settings) == {"mask_grow"})


@pytest.mark.parametrize("settings", EACH)
def test_evaluation_takes_the_masks_of_the_data(lesions, settings):
    chosen = looking(lesions, **settings)
    plain = changed(chosen, **vars(with_given_masks(chosen.view)))
    for name, samples in load_splits(chosen, 0).items():
        assert torch.equal(samples.masks, load_splits(plain, 0)[name].masks)
    assert not torch.equal(trained_on(chosen).masks, trained_on(plain).masks)


@pytest.mark.parametrize("settings", EACH)
def test_a_run_says_how_far_its_masks_agree_with_those_of_the_data(lesions, held, settings):  # noqa: F811
    ours, theirs = beside(lesions, **settings)
    replica = new_replica(looking(lesions, **settings), 0, Path("nowhere"), torch.device("cpu"))
    found = replica.mask_facts.overlap
    both, either = ours.masks & theirs.masks, ours.masks | theirs.masks
    each = (both.sum(dim=(1, 2, 3)) / either.sum(dim=(1, 2, 3)))[theirs.has_mask]
    assert found.mean_iou == pytest.approx(float(each.mean()))
    assert found.masks == int(theirs.has_mask.sum())
    assert 0 < found.chance_iou < 1
    plain = new_replica(looking(lesions), 0, Path("nowhere"), torch.device("cpu"))
    assert "mask_overlap" not in plain.mask_facts.to_json()


@pytest.mark.parametrize("settings", [CONTROLS["random"], CONTROLS["all at once"]], ids=str)
@pytest.mark.parametrize("seen", [{}, {"image_size": 10, "augment": "crop-flip", "masks": 0.5}], ids=str)
def test_streamed_runs_are_those_in_memory(lesions, tmp_path, monkeypatch, settings, seen):
    chosen = looking(lesions, **settings, **seen)
    [resident] = train(chosen, out=tmp_path / "resident")
    stream(monkeypatch)
    [streamed] = train(chosen, out=tmp_path / "streamed")
    assert_same_run(resident.folder, streamed.folder)
    said = [json.loads((run.folder / "run.json").read_text()) for run in (resident, streamed)]
    for entry in ("mask_overlap", "mask_shares", "mask_notes"):
        assert said[0][entry] == said[1][entry]


def test_a_run_with_the_masks_of_the_data_is_described_as_before_there_were_others(lesions):
    chosen = looking(lesions)
    assert not {"train_masks", "mask_shift", "mask_grow"} & written(chosen).keys()
    for settings in CONTROLS.values():
        other = looking(lesions, **settings)
        assert written(other).items() >= settings.items()
        assert written_config(written(other)) == other


def test_names_and_labels_say_the_control_and_share_the_baseline():
    plain = make_config(actdiff=1.0)
    found = {name: changed(plain, **settings) for name, settings in CONTROLS.items()}
    assert {name: run_name(one).removeprefix(run_name(plain)) for name, one in found.items()} == {
        "random": "-train-masks-random",
        "other": "-train-masks-other",
        "shifted": "-shifted0.25",
        "grown": "-grown0.1",
        "shrunk": "-shrunk0.07",
        "all at once": "-train-masks-other-shifted0.2-grown0.07",
    }
    assert {name: method_name(one) for name, one in found.items()} == {
        "random": "Actdiff, masks at random places",
        "other": "Actdiff, masks of other images",
        "shifted": "Actdiff, masks shifted by 25%",
        "grown": "Actdiff, masks grown by 10%",
        "shrunk": "Actdiff, masks shrunk by 7%",
        "all at once": "Actdiff, masks of other images, masks shifted by 20%, masks grown by 7%",
    }
    for one in found.values():
        assert not is_baseline(one)
        assert baseline(one) == baseline(plain) == make_config()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_masks": "random"}, "train_masks has no effect"),
        ({"mask_shift": 0.1}, "mask_shift has no effect"),
        ({"mask_grow": 0.1}, "mask_grow has no effect"),
        ({"actdiff": 1.0, "train_masks": "random", "mask_shift": 0.1}, "mask_shift has no effect"),
        (
            {"actdiff": 1.0, "train_masks": "other", "mask": "circle", "mask_blur": 0.0},
            "train_masks has no effect",
        ),
        ({"classify_masked": "all", "train_masks": "random"}, "choose classify_masked train"),
        ({"actdiff": 1.0, "mask_shift": 0.7}, "mask_shift must be from 0 to 0.5"),
        ({"actdiff": 1.0, "train_masks": "others"}, "must be one of given, random, other"),
    ],
    ids=str,
)
def test_what_could_not_act_or_contradicts_itself_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        make_config(**settings)


@pytest.mark.parametrize("settings", [{"mask_shift": 0.05}, {"mask_grow": -0.05}], ids=str)
def test_a_distance_of_less_than_a_pixel_is_refused(lesions, held, settings):  # noqa: F811
    with pytest.raises(DataError, match=r"comes to 0.8 px of images of 16 px a side.*at least 0.0625"):
        new_replica(looking(lesions, **settings), 0, Path("nowhere"), torch.device("cpu"))


COMMAND = "--model cnn --width 2 --batch-size 6 --device cpu --actdiff 1 --train-masks random --mask-grow 0.1"


@pytest.mark.process
def test_the_command_trains_resumes_and_refuses_other_masks(lesions, tmp_path):
    words = ["train", *COMMAND.split(), "--data", lesions]
    said = told(*words, "--epochs", 2, "--out", "straight", cwd=tmp_path).output
    assert "have an intersection over union of 0." in " ".join(said.split())
    told(*words, "--epochs", 1, "--out", "resumed", cwd=tmp_path)
    told(*words, "--epochs", 2, "--out", "resumed", "--resume", cwd=tmp_path)
    assert_same_run(tmp_path / "straight/seed-0", tmp_path / "resumed/seed-0")
    more = ["--epochs", 3, "--out", "straight", "--resume", "--train-masks", "other"]
    refused = told(*words, *more, cwd=tmp_path, code=2).output
    assert "train_masks was random, is other" in " ".join(refused.split())


@pytest.mark.process
def test_the_command_evaluates_by_the_masks_of_the_data(lesions, tmp_path):
    """At a learning rate that moves no weight, runs with other masks differ in what judges them alone."""
    words = ["train", "--data", lesions, "--epochs", 1, "--lr", 1e-30]
    told(*words, *COMMAND.split(), "--out", "runs/random", cwd=tmp_path)
    told(*words, *COMMAND.split()[:-4], "--out", "runs/given", cwd=tmp_path)
    judged = json.loads(told("evaluate", "runs", "--json", cwd=tmp_path).stdout)["checkpoints"]
    one, other = (found["evaluation"] for found in judged)
    assert one["localisation"]["rows"]
    assert one == other
